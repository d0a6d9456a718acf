//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	ports "poosh/test/process"
)

// secret signs all events.
const secret = "benchmark-secret"

// A process is a running server.
type process struct {
	cmd     *exec.Cmd
	output  *os.File // what it printed
	ended   chan error
	clients netip.AddrPort
	senders netip.AddrPort
	pusher  netip.AddrPort // of clients and senders, when an app is named
	control netip.AddrPort // of the profiled build

	operators netip.AddrPort // of poosh, when it has such a port
	// lastSignal is what it gets when the benchmark dies first.
	lastSignal syscall.Signal
	only       []netip.AddrPort // that it listens on, if not on those of clients and senders
}

// startProcess starts a server on free ports of 127.0.0.1, by the command and with
// the environment that prepare returns for them, beside the settings that all servers
// get, and waits until it accepts connections.
func startProcess(prepare func(*process) (command, env []string, err error)) (*process, error) {
	ports, err := freePorts(5)
	if err != nil {
		return nil, err
	}
	output, err := os.CreateTemp("", "bench-output-")
	if err != nil {
		return nil, err
	}
	_ = os.Remove(output.Name()) // it goes with the descriptor
	p := &process{output: output, ended: make(chan error, 1), lastSignal: syscall.SIGKILL}
	p.clients, p.senders, p.control, p.pusher, p.operators = ports[0], ports[1], ports[2], ports[3], ports[4]
	command, env, err := prepare(p)
	if err != nil {
		output.Close()
		return nil, err
	}
	p.cmd = exec.Command(command[0], command[1:]...)
	p.cmd.Env = append(env,
		"PATH="+os.Getenv("PATH"), "HOME="+os.Getenv("HOME"), "NODE_ENV=production",
		"HOST=127.0.0.1", "SERVER_SECRET="+secret,
		fmt.Sprint("CLIENT_PORT=", p.clients.Port()), fmt.Sprint("SERVER_PORT=", p.senders.Port()),
		fmt.Sprint("PUSHER_PORT=", p.pusher.Port()),
		"PROFILE_ADDR="+p.control.String(),
	)
	p.cmd.Dir = os.TempDir()
	p.cmd.Stdout, p.cmd.Stderr = output, output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: p.lastSignal, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		output.Close()
		return nil, err
	}
	go func() { p.ended <- p.cmd.Wait() }() // ends with the process
	for _, addr := range p.listens() {
		if err := p.await(addr, 15*time.Second); err != nil {
			p.stop()
			return nil, err
		}
	}
	return p, nil
}

// listens are the ports that a server must accept connections on.
func (p *process) listens() []netip.AddrPort {
	if len(p.only) > 0 {
		return p.only
	}
	return []netip.AddrPort{p.clients, p.senders}
}

// freePorts returns ports of 127.0.0.1 that nobody else is given.
func freePorts(n int) ([]netip.AddrPort, error) {
	var free []netip.AddrPort
	for range n {
		port, err := ports.Port()
		if err != nil {
			return nil, err
		}
		free = append(free, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)))
	}
	return free, nil
}

func (p *process) await(addr netip.AddrPort, patience time.Duration) error {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case err := <-p.ended:
			p.ended <- err
			return fmt.Errorf("the server ended (%v): %s", err, p.printed())
		default:
		}
		if nc, err := net.Dial("tcp", addr.String()); err == nil {
			return nc.Close()
		}
	}
	return fmt.Errorf("the server does not listen on %v: %s", addr, p.printed())
}

// printed returns the end of what the server printed.
func (p *process) printed() string {
	const most = 2000
	end, err := p.output.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	b := make([]byte, min(end, most))
	n, _ := p.output.ReadAt(b, end-int64(len(b)))
	return string(bytes.TrimSpace(b[:n]))
}

// stop kills the server and waits for its end.
func (p *process) stop() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // with its workers
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
	}
	_ = p.output.Close()
}

// cpu returns the processor time, user and system, that all threads of the
// server have used, those that ended included: the process's CPU clock, whose
// number is made of its id (clock_getcpuclockid(3)).
func (p *process) cpu() (time.Duration, error) {
	d, err := cpuOf(p.cmd.Process.Pid)
	if err != nil {
		return 0, fmt.Errorf("CPU clock of the server: %w: %s", err, p.printed())
	}
	return d, nil
}

func cpuOf(pid int) (time.Duration, error) {
	const schedClock = 2
	clock := ^uintptr(pid)<<3 | schedClock
	var ts syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return 0, errno
	}
	return time.Duration(ts.Nano()), nil
}

// cpuWithChildren is cpu with the processes that this one has started and not ended.
func (p *process) cpuWithChildren() (time.Duration, error) {
	sum, err := p.cpu()
	if err != nil {
		return 0, err
	}
	pid := strconv.Itoa(p.cmd.Process.Pid)
	text, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	if err != nil {
		return 0, err
	}
	for _, child := range strings.Fields(string(text)) {
		n, err := strconv.Atoi(child)
		if err != nil {
			return 0, err
		}
		d, err := cpuOf(n)
		if err != nil {
			return 0, fmt.Errorf("CPU clock of %s: %w", child, err)
		}
		sum += d
	}
	return sum, nil
}

// memory is what a process holds, in bytes.
type memory struct {
	rss  int64 // resident, of /proc/PID/status
	pss  int64 // the same with shared pages counted by their share
	peak int64 // the most that was ever resident
}

func (p *process) memory() (memory, error) {
	dir := "/proc/" + strconv.Itoa(p.cmd.Process.Pid)
	rss, err := field(dir+"/status", "VmRSS:")
	pss, err2 := field(dir+"/smaps_rollup", "Pss:")
	peak, err3 := field(dir+"/status", "VmHWM:")
	return memory{rss, pss, peak}, errors.Join(err, err2, err3)
}

// forgetPeak has the peak of memory begin anew (proc(5), clear_refs).
func (p *process) forgetPeak() error {
	return os.WriteFile("/proc/"+strconv.Itoa(p.cmd.Process.Pid)+"/clear_refs", []byte("5"), 0)
}

// field reads a value that a line of a file gives in kB, in bytes.
func field(file, name string) (int64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == name {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			return kb << 10, err
		}
	}
	return 0, fmt.Errorf("%s has no %s", file, name)
}

// ownCPU returns the processor time that this process, the load generator, has
// used.
func ownCPU() time.Duration {
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) != nil {
		return 0
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}
