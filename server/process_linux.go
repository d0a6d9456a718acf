package server

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"sync"
	"syscall"
	"unsafe"

	"poosh/server/prometheus"
)

// A procFile is a file of /proc that stays open, so that each reading of it is one system call
// (proc(5): from its beginning it tells the numbers of that moment).
type procFile struct {
	path string

	mu   sync.Mutex // guards what follows
	file *os.File   // nil until it is first read
	text []byte     // of the last reading, in memory that the next one takes
}

var (
	procStatm   = procFile{path: "/proc/self/statm"}
	procNetstat = procFile{path: "/proc/self/net/netstat"}
)

// mostProcText is more than such a file has.
const mostProcText = 16 << 10

// read has f look at what the file says, which is good until f returns; false where it
// cannot be read.
func (p *procFile) read(f func(text []byte)) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == nil {
		file, err := os.Open(p.path)
		if err != nil {
			return false
		}
		p.file, p.text = file, make([]byte, mostProcText)
	}
	// It goes past the scheduler's hooks: the kernel makes the text up and waits for nothing.
	n, _, errno := syscall.RawSyscall6(syscall.SYS_PREAD64, p.file.Fd(), uintptr(unsafe.Pointer(&p.text[0])), uintptr(len(p.text)), 0, 0, 0)
	if errno != 0 || n == 0 || int(n) == len(p.text) {
		return false
	}
	f(p.text[:n])
	return true
}

// memoryBytes returns how much memory the process has in use, and how much it has addresses
// for (proc_pid_statm(5)).
func memoryBytes() (resident, virtual int64, ok bool) {
	var fields [2]int64
	procStatm.read(func(text []byte) {
		ok = true
		for i := range fields {
			number, rest, found := bytes.Cut(text, []byte(" "))
			n, err := strconv.ParseInt(string(number), 10, 64)
			fields[i], text, ok = n, rest, ok && found && err == nil
		}
	})
	page := int64(os.Getpagesize())
	return fields[1] * page, fields[0] * page, ok
}

// octets returns how many bytes of IP its network has taken in and sent out, as the
// process's part of it counts them (proc_pid_net(5), RFC 4293).
func octets() (in, out float64, ok bool) {
	procNetstat.read(func(text []byte) {
		const table = "IpExt:"
		_, text, _ = bytes.Cut(text, []byte("\n"+table))
		names, text, found := bytes.Cut(text, []byte("\n"+table))
		if !found {
			return
		}
		values, _, _ := bytes.Cut(text, []byte("\n"))
		var hasIn, hasOut bool
		for len(names) > 0 {
			var name, value []byte
			name, names = nextField(names)
			value, values = nextField(values)
			switch string(name) {
			case "InOctets":
				in, hasIn = number(value)
			case "OutOctets":
				out, hasOut = number(value)
			}
		}
		ok = hasIn && hasOut
	})
	return in, out, ok
}

func number(text []byte) (float64, bool) {
	n, err := strconv.ParseFloat(string(text), 64)
	return n, err == nil
}

// nextField returns what stands before the next space, and the rest.
func nextField(text []byte) (field, rest []byte) {
	field, rest, _ = bytes.Cut(bytes.TrimLeft(text, " "), []byte(" "))
	return field, rest
}

// host is what the operating system tells of the process; false where it does not tell
// all of it. On a kernel before 6.2 it goes through all open files, as metrics does too.
func host() (h prometheus.Host, ok bool) {
	var files, space syscall.Rlimit
	cpu, hasCPU := cpuSeconds()
	resident, virtual, hasMemory := memoryBytes()
	open := openFiles()
	in, out, hasOctets := octets()
	errs := []error{syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files), syscall.Getrlimit(syscall.RLIMIT_AS, &space)}
	h = prometheus.Host{
		CPUSeconds: cpu, OpenFiles: float64(open), MaxFiles: float64(files.Cur),
		ResidentBytes: float64(resident), VirtualBytes: float64(virtual), MaxVirtualBytes: float64(space.Cur),
		ReceivedBytes: in, SentBytes: out,
	}
	return h, hasCPU && hasMemory && open >= 0 && hasOctets && errors.Join(errs...) == nil
}
