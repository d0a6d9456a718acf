package attacks_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
)

const (
	memoryLimit = 512 << 20
	plentyFiles = 20_000
)

// limited is the command that runs a program under the kernel's limits: of memory, and
// of open files.
//
// The limit of memory is RLIMIT_DATA, which since Linux 4.7 counts all private memory
// that a process may write, the heap of a Go program above all. A program at the limit
// gets no more and dies of it, as it would by the kernel's OOM killer. It is chosen
// before a control group because it is the same everywhere: it wants no root, no cgroup
// that is writable, and no version of cgroups. What it leaves out are the kernel's own
// buffers of sockets, which net.ipv4.tcp_mem bounds; what it counts although a control
// group would not is memory that the program has given back and still has mapped, so
// it is a little stricter. RLIMIT_AS is of no use: Go maps far more than it uses.
func limited(files int, program string, args ...string) *exec.Cmd {
	return exec.Command("prlimit", append([]string{
		"--data=" + strconv.Itoa(memoryLimit), "--nofile=" + strconv.Itoa(files), "--core=0", "--", program}, args...)...)
}

// eatVariable makes the test's own binary a program that needs so many bytes.
const eatVariable = "ATTACKS_EAT"

// eat uses memory up.
func eat(text string) {
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(err)
	}
	var pieces [][]byte
	for got := 0; got < n; got += 1 << 20 {
		piece := make([]byte, 1<<20)
		for i := 0; i < len(piece); i += 4096 {
			piece[i] = 1
		}
		pieces = append(pieces, piece)
	}
	fmt.Println(len(pieces))
}

// checkMemoryLimit shows that the limit is one: a program that stays below it lives,
// and one that does not dies.
func checkMemoryLimit() error {
	if _, err := exec.LookPath("prlimit"); err != nil {
		return fmt.Errorf("%w: apt-get install util-linux", err)
	}
	try := func(bytes int) error {
		cmd := limited(100, os.Args[0])
		cmd.Env = append(os.Environ(), eatVariable+"="+strconv.Itoa(bytes), "GOGC=10")
		return cmd.Run()
	}
	if err := try(memoryLimit / 4); err != nil {
		return fmt.Errorf("a program that needs %d bytes could not run with prlimit --data=%d: %w", memoryLimit/4, memoryLimit, err)
	}
	var ended *exec.ExitError
	if err := try(2 * memoryLimit); !errors.As(err, &ended) {
		return fmt.Errorf("prlimit --data=%d does not bound memory on this machine (%v): Linux 4.7 or newer is needed", memoryLimit, err)
	}
	return nil
}
