package packages_test

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A machine is this one with nothing of what happens there kept: its files lie over those
// of this machine, in a mount namespace of their own, and go with it. Processes and the
// network are this machine's.
type machine struct {
	t     *testing.T
	pid   string // of the process that holds the namespace
	layer string // directory with what differs from this machine, seen in the namespace
}

// hold makes the namespace and stays until its standard input ends.
const hold = `
mount -t tmpfs -o mode=755 machine "$1"
cd "$1"
mkdir upper work root
mount -t overlay machine -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" root
for dir in proc dev sys; do mount --rbind /$dir root/$dir; done
mount -t tmpfs -o mode=755 machine root/run
mount -t tmpfs -o mode=1777 machine root/tmp
# Whoever knows the process comes into its root: it is told when that is the machine's.
exec chroot root sh -euc 'echo $$; exec cat'
`

// asRoot is a command that root runs.
func asRoot(args ...string) *exec.Cmd {
	if os.Getuid() != 0 {
		args = append([]string{"sudo", "-n"}, args...)
	}
	return exec.Command(args[0], args[1:]...)
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, layer: t.TempDir()}
	cmd := asRoot("unshare", "--mount", "--propagation", "private", "sh", "-euc", hold+"\n", "sh", m.layer)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v: want root, or sudo without a password", err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		stdin.Close()
		_ = cmd.Wait()
		t.Fatalf("no machine to install on: want root and a kernel with overlay file systems: %v %q\n%s", err, line, &stderr)
	}
	m.pid = strings.TrimSpace(line)
	return m
}

// command is one that runs in the machine, as root, with nothing of the environment of the
// test but a path.
func (m *machine) command(args ...string) *exec.Cmd {
	return asRoot(slices.Concat([]string{"nsenter", "--target", m.pid, "--mount", "--root", "--wd", "env", "-i",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"}, args)...)
}

// run has a shell in the machine run a script, and wants it to end well.
func (m *machine) run(script string) string {
	m.t.Helper()
	out, err := m.command("sh", "-euc", script).CombinedOutput()
	if err != nil {
		m.t.Fatalf("%s\n%v\n%s", script, err, out)
	}
	return string(out)
}

// put copies a file of this machine to a path there.
func (m *machine) put(from, to string) {
	m.t.Helper()
	raw, err := os.ReadFile(from)
	if err != nil {
		m.t.Fatal(err)
	}
	m.write(to, string(raw))
}

func (m *machine) write(path, text string) {
	m.t.Helper()
	cmd := m.command("sh", "-c", `mkdir -p "$(dirname "$1")" && cat >"$1"`, "sh", path)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("%s: %v\n%s", path, err, out)
	}
}

// differs lists what is otherwise there than on this machine: files that are there alone or
// have other contents, and those that are gone. Directories count if they are there alone.
func (m *machine) differs() (paths []string) {
	m.t.Helper()
	list := output(m.t, asRoot("nsenter", "--target", m.pid, "--mount", "find", m.layer+"/upper", "-mindepth", "1", "-printf", `%y %P\0`))
	for entry := range strings.SplitSeq(strings.TrimSuffix(list, "\x00"), "\x00") {
		kind, name, _ := strings.Cut(entry, " ")
		here := "/" + name
		switch { // as root, who may see all of both
		case kind == "c": // a whiteout
			paths = append(paths, here+" (gone)")
		case asRoot("find", here, "-maxdepth", "0").Run() != nil: // which does not follow a link
			paths = append(paths, here)
		case kind == "f":
			before, err := asRoot("cat", here).Output()
			after, err2 := m.command("cat", here).Output()
			if err != nil || err2 != nil || !bytes.Equal(before, after) {
				paths = append(paths, here)
			}
		}
	}
	slices.Sort(paths)
	return paths
}

// stat is the mode, owner and group of a path there.
func (m *machine) stat(path string) string {
	m.t.Helper()
	return strings.TrimSpace(m.run("stat -c '%a %U:%G' " + path))
}

func (m *machine) has(path string) bool {
	m.t.Helper()
	return m.command("test", "-e", path).Run() == nil
}

// abs is a path from the root of the repository, whole.
func abs(t *testing.T, name ...string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(append([]string{root}, name...)...))
	if err != nil {
		t.Fatal(err)
	}
	return path
}
