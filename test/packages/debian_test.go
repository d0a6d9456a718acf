package packages_test

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/server/logtest"
	"poosh/test/process"
)

// install installs a package with all that it holds, also where dpkg leaves manuals and
// documents out, as in most containers.
const install = "dpkg --path-include='/usr/share/*' --install "

// The life of the package on a machine: installed, started as its own user, asked, stopped,
// upgraded while it runs, removed and purged. Afterwards the machine is as it was.
func TestDebian(t *testing.T) {
	debs := packages(t, "deb", "0.0.1", "0.0.2")
	if n := "dpkg-query"; exec.Command(n, "-W", "poosh").Run() == nil {
		t.Fatal("poosh is installed as a package here: the test needs a machine without it")
	}
	debianHolds(t, debs[0])
	m := newMachine(t)
	m.put(debs[0], "/tmp/1.deb")
	m.put(debs[1], "/tmp/2.deb")
	calls := fakeSystemctl(m)

	out := m.run(install + "/tmp/1.deb")
	if !strings.Contains(out, "set SERVER_SECRET in /etc/poosh/.env") {
		t.Errorf("it does not say what to do next:\n%s", out)
	}
	calls("daemon-reload")
	if got := strings.TrimSpace(m.run("poosh --version")); !strings.Contains(got, "v0.0.1") {
		t.Errorf("the version is %q", got)
	}
	for path, want := range map[string]string{
		"/usr/bin/poosh": "755 root:root", "/etc/poosh": "750 root:poosh", "/etc/poosh/.env": "640 root:poosh",
		"/var/lib/poosh": "700 poosh:poosh", "/usr/lib/systemd/system/poosh.service": "644 root:root",
	} {
		if got := m.stat(path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	if got := m.run("getent passwd poosh"); !regexp.MustCompile(`^poosh:x:[1-9]\d{0,2}:[1-9]\d{0,2}:[^:]*:/var/lib/poosh:/usr/sbin/nologin\n$`).MatchString(got) {
		t.Errorf("the user is %q", got)
	}
	if got := m.run("dpkg-query -W -f '${Conffiles}' poosh"); !strings.HasPrefix(strings.TrimSpace(got), "/etc/poosh/.env ") || strings.Count(strings.TrimSpace(got), "\n") != 0 {
		t.Errorf("files of settings are %q", got)
	}
	verifyUnits(m)
	m.run("man -w poosh && bash -c '. /usr/share/bash-completion/completions/poosh && complete -p poosh'")

	// As it comes it does not start, and says why.
	s := startUnit(m)
	if code := s.wait(); code != 1 || !strings.Contains(s.log.String(), "SERVER_SECRET is not set") {
		t.Errorf("without a secret it ends with %d: %s", code, s.log)
	}
	settings := configure(m)
	s = startUnit(m)
	s.ready(m)
	confined(s, m)
	arrives(m)
	if !m.has("/var/lib/poosh/push-socket.db") {
		t.Error("the database is not where the service may write")
	}

	out = m.run(install + "/tmp/2.deb </dev/null")
	calls("daemon-reload", "try-restart poosh.service")
	if strings.Contains(out, "set SERVER_SECRET") {
		t.Errorf("an upgrade says what a first installation does:\n%s", out)
	}
	arrives(m) // what runs goes on until it is restarted
	s.stop()
	s = startUnit(m)
	s.ready(m)
	if got := m.run("curl -fsS http://127.0.0.1:$(sed -n s/^ADMIN_PORT=//p /etc/poosh/.env)/metrics"); !strings.Contains(got, `version="v0.0.2"`) {
		t.Errorf("after the upgrade it says\n%s", got)
	}
	if got := m.run("cat /etc/poosh/.env"); got != settings {
		t.Error("the upgrade has changed the settings")
	}
	arrives(m)
	s.stop()

	m.run("dpkg --remove poosh")
	calls("disable --now poosh.service poosh-client.socket poosh-server.socket", "daemon-reload")
	if m.has("/usr/bin/poosh") || m.has("/usr/lib/systemd/system/poosh.service") || !m.has("/etc/poosh/.env") || !m.has("/var/lib/poosh/push-socket.db") {
		t.Error("removed, it has left the program, or has not left settings and data")
	}
	m.run("dpkg --purge poosh")
	calls("daemon-reload")
	if left := leftBehind(m); len(left) > 0 {
		t.Errorf("purged, there is left: %q", left)
	}
}

// fakeSystemctl has systemd seem to run, and returns what looks for the calls since the last
// time.
func fakeSystemctl(m *machine) func(want ...string) {
	m.write("/usr/bin/systemctl", "#!/bin/sh\necho \"$*\" >>/run/systemctl.calls\n")
	m.run("chmod +x /usr/bin/systemctl; mkdir -p /run/systemd/system")
	return func(want ...string) {
		m.t.Helper()
		got := strings.Split(strings.TrimSpace(m.run("cat /run/systemctl.calls; : >/run/systemctl.calls")), "\n")
		if !slices.Equal(got, want) {
			m.t.Errorf("systemctl was called with %q, want %q", got, want)
		}
	}
}

// verifyUnits has systemd look at the units as they are installed.
func verifyUnits(m *machine) {
	m.t.Helper()
	out := m.run("systemd-analyze verify /usr/lib/systemd/system/poosh.service /usr/lib/systemd/system/poosh-client.socket /usr/lib/systemd/system/poosh-server.socket 2>&1")
	for line := range strings.Lines(out) {
		if strings.Contains(line, "poosh") { // and not what other units of this machine have wrong
			m.t.Errorf("systemd says: %s", line)
		}
	}
	// Of what systemd calls exposure, 10 is the worst.
	out = m.run("systemd-analyze security --offline=true --threshold=25 --no-pager /usr/lib/systemd/system/poosh.service 2>&1 || true")
	if found := regexp.MustCompile(`Overall exposure level for poosh.service: ([\d.]+)`).FindStringSubmatch(out); found == nil {
		m.t.Errorf("systemd says nothing of what the service may do:\n%s", out)
	} else if level, err := strconv.ParseFloat(found[1], 64); err != nil || level > 2.5 {
		m.t.Errorf("the exposure is %s, want 2.5 at the most", found[1])
	}
}

// configure sets up what the package leaves to its operator, as an editor would, and has
// poosh check look at it. It returns the settings.
func configure(m *machine) string {
	m.t.Helper()
	edit := "sed -i"
	for name, value := range map[string]string{
		"SERVER_SECRET": "thisisthesharedsecret", "HOST": "127.0.0.1", "ADMIN_PORT": strconv.Itoa(process.FreePort(m.t)), "CLIENT_PORT": strconv.Itoa(process.FreePort(m.t)),
		"SERVER_PORT": strconv.Itoa(process.FreePort(m.t)), "PUSH_SOCKET_PORT": strconv.Itoa(process.FreePort(m.t)),
	} {
		edit += fmt.Sprintf(" -e 's/^#*%s=.*/%s=%s/'", name, name, value)
	}
	m.run(edit + " /etc/poosh/.env")
	if out := m.run("cd /etc/poosh && setpriv --reuid poosh --regid poosh --init-groups poosh check"); !strings.Contains(out, "0 errors") {
		m.t.Errorf("poosh check says\n%s", out)
	}
	return m.run("cat /etc/poosh/.env")
}

// confined looks whether the service is who and where its unit says.
func confined(s *service, m *machine) {
	m.t.Helper()
	uid := strings.TrimSpace(m.run("id -u poosh"))
	for name, want := range map[string]string{"Uid": strings.Join([]string{uid, uid, uid, uid}, " "), "NoNewPrivs": "1", "CapEff": "0000000000000000", "CapBnd": "0000000000000000"} {
		if got := s.status(name); got != want {
			m.t.Errorf("the service has %s %q, want %q", name, got, want)
		}
	}
	limits := output(m.t, m.command("sh", "-c", "cat /proc/$(cat /run/poosh.pid)/limits"))
	want := openFiles(m.t, "1048576")
	if !regexp.MustCompile(`Max open files +` + want + ` +` + want + ` `).MatchString(limits) {
		m.t.Errorf("its limits are\n%s", limits)
	}
}

// arrives sends an event and wants a listener to get it.
func arrives(m *machine) {
	m.t.Helper()
	var heard logtest.Buffer
	listener := m.command("sh", "-c", "cd /etc/poosh && exec poosh listen --room news --count 1 --for 60s")
	listener.Stdout, listener.Stderr = &heard, &heard
	if err := listener.Start(); err != nil {
		m.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- listener.Wait() }() // ends with the process
	defer func() { _ = listener.Process.Kill() }()
	// Nobody took it until the listener is there.
	for end := time.Now().Add(process.Patience); ; time.Sleep(50 * time.Millisecond) {
		out, err := m.command("sh", "-c", `cd /etc/poosh && poosh send --room news --require-subscriber hello '{"text":"hi"}'`).CombinedOutput()
		if err == nil {
			break
		}
		if time.Now().After(end) {
			m.t.Fatalf("nobody takes the event: %s\n%s", out, &heard)
		}
	}
	select {
	case err := <-done:
		if err != nil || !strings.Contains(heard.String(), `hello {"text":"hi"}`) {
			m.t.Fatalf("the listener heard, %v:\n%s", err, &heard)
		}
	case <-time.After(process.Patience):
		m.t.Fatalf("the listener heard nothing:\n%s", &heard)
	}
}

// leftBehind is what is otherwise on a machine than before, but for what dpkg and others
// write down of what they have done.
func leftBehind(m *machine) []string {
	m.t.Helper()
	notes := regexp.MustCompile(`^/(var/lib/dpkg|var/log|var/cache)/|^/etc/(passwd|group|shadow|gshadow|subuid|subgid)-$|^/etc/\.pwd\.lock$|^/usr/bin/systemctl$`)
	return slices.DeleteFunc(m.differs(), notes.MatchString)
}
