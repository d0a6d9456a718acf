package packages_test

import (
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"poosh/server/logtest"
	"poosh/test/process"
)

// A service is a unit of systemd, started as the unit says by what there is without
// systemd: its user, directory, limits, capabilities, and which directories it may write to.
// Filters of system calls and namespaces are not made.
type service struct {
	t      *testing.T
	m      *machine
	cmd    *exec.Cmd
	exited chan struct{}
	log    *logtest.Buffer
}

// units reads what a unit says under [Service]. Of a name that stands there twice the last
// one is told.
func units(t *testing.T, text string) map[string]string {
	t.Helper()
	_, text, found := strings.Cut(text, "\n[Service]\n")
	if !found {
		t.Fatalf("no [Service] in\n%s", text)
	}
	text, _, _ = strings.Cut(text, "\n[")
	said := make(map[string]string)
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, value, found := strings.Cut(line, "="); found && !strings.HasPrefix(line, "#") {
			said[name] = value
		}
	}
	return said
}

// asUnit is what systemd does before it starts a program, as far as a shell can.
const asUnit = `
echo $$ >/run/poosh.pid # which becomes that of the program
mount --bind "$1" "$1"
[ "$2" != strict ] || mount -o remount,bind,ro /
cd "$3"
umask "$4"
shift 4
exec "$@"
`

// startUnit starts the unit that is installed in a machine.
func startUnit(m *machine) *service {
	m.t.Helper()
	said := units(m.t, m.run("cat /usr/lib/systemd/system/poosh.service"))
	for _, name := range []string{"ExecStart", "User", "Group", "WorkingDirectory", "StateDirectory", "UMask", "LimitNOFILE"} {
		if said[name] == "" {
			m.t.Fatalf("the unit has no %s", name)
		}
	}
	if said["NoNewPrivileges"] != "yes" || said["CapabilityBoundingSet"] != "" || said["ProtectSystem"] != "strict" {
		m.t.Fatalf("the unit leaves it %v", said)
	}
	args := []string{"unshare", "--mount", "--propagation", "private", "sh", "-euc", asUnit, "sh",
		"/var/lib/" + said["StateDirectory"], said["ProtectSystem"], said["WorkingDirectory"], said["UMask"],
		"prlimit", "--nofile=" + openFiles(m.t, said["LimitNOFILE"]),
		"setpriv", "--reuid", said["User"], "--regid", said["Group"], "--init-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all"}
	s := &service{t: m.t, m: m, exited: make(chan struct{}), log: new(logtest.Buffer)}
	s.cmd = m.command(append(args, strings.Fields(said["ExecStart"])...)...)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	go func() { // ends with the process
		_ = s.cmd.Wait()
		close(s.exited)
	}()
	m.t.Cleanup(func() {
		select {
		case <-s.exited:
		default:
			_ = s.signal("KILL").Run()
			<-s.exited
		}
	})
	return s
}

// openFiles is what a limit of open files comes to here: where root may not raise it, it is
// this machine's.
func openFiles(t *testing.T, unit string) string {
	t.Helper()
	if asRoot("prlimit", "--nofile="+unit, "true").Run() == nil {
		return unit
	}
	var here syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &here); err != nil {
		t.Fatal(err)
	}
	return strconv.FormatUint(here.Max, 10)
}

// ready waits until the server in the machine says that it is.
func (s *service) ready(m *machine) {
	s.t.Helper()
	for end := time.Now().Add(process.Patience); ; time.Sleep(50 * time.Millisecond) {
		out, err := m.command("sh", "-c", "cd /etc/poosh && poosh health").CombinedOutput()
		if err == nil {
			return
		}
		select {
		case <-s.exited:
			s.t.Fatalf("it ended with %v\n%s", s.cmd.ProcessState, s.log)
		default:
		}
		if time.Now().After(end) {
			s.t.Fatalf("it does not get ready: %s\n%s", out, s.log)
		}
	}
}

// status is a line of what the kernel says of the process, without its name.
func (s *service) status(name string) string {
	s.t.Helper()
	out := output(s.t, s.m.command("sh", "-c", "cat /proc/$(cat /run/poosh.pid)/status"))
	for line := range strings.Lines(out) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			return strings.Join(strings.Fields(value), " ")
		}
	}
	s.t.Fatalf("no %s in\n%s", name, out)
	return ""
}

// stop asks it to end as systemd does, and wants it to end well.
func (s *service) stop() {
	s.t.Helper()
	output(s.t, s.signal("TERM"))
	if code := s.wait(); code != 0 {
		s.t.Fatalf("it ended with %d\n%s", code, s.log)
	}
}

// signal is a command that sends it one.
func (s *service) signal(name string) *exec.Cmd {
	return s.m.command("sh", "-c", "kill -"+name+" $(cat /run/poosh.pid)")
}

// wait waits for its end and returns the exit code.
func (s *service) wait() int {
	s.t.Helper()
	select {
	case <-s.exited:
	case <-time.After(process.Patience):
		s.t.Fatalf("it does not end\n%s", s.log)
	}
	return s.cmd.ProcessState.ExitCode()
}
