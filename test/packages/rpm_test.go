package packages_test

import (
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// held are the paths in a package, with mode, owner and group.
var held = []string{
	"-rw-r----- root:poosh /etc/poosh/.env",
	"-rw-r--r-- root:root /usr/lib/systemd/system/poosh-client.socket",
	"-rw-r--r-- root:root /usr/lib/systemd/system/poosh-server.socket",
	"-rw-r--r-- root:root /usr/lib/systemd/system/poosh.service",
	"-rw-r--r-- root:root /usr/share/bash-completion/completions/poosh",
	"-rw-r--r-- root:root /usr/share/doc/poosh/CHANGELOG.md",
	"-rw-r--r-- root:root /usr/share/fish/vendor_completions.d/poosh.fish",
	"-rw-r--r-- root:root /usr/share/man/man1/poosh.1",
	"-rwxr-xr-x root:root /usr/bin/poosh",
	"drwx------ poosh:poosh /var/lib/poosh",
	"drwxr-x--- root:poosh /etc/poosh",
}

// The package for systems with rpm is built of the same, and its life on a machine is the
// same, but that it has no purge: what the service wrote, and its user, stay.
func TestRPM(t *testing.T) {
	path := packages(t, "rpm", "0.0.1")[0]
	query := func(args ...string) string {
		t.Helper()
		return output(t, exec.Command("rpm", append([]string{"-qp", "--nosignature"}, append(args, path)...)...))
	}
	got := strings.Split(strings.TrimSpace(query("--qf", `[%{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILENAMES}\n]`)), "\n")
	want := append(slices.Clone(held), "-rw-r--r-- root:root /usr/share/licenses/poosh/LICENSE", "-rw-r--r-- root:root /usr/share/zsh/site-functions/_poosh")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("it holds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	if got := query("--qf", "%{NAME} %{VERSION} %{ARCH} %{LICENSE}"); got != "poosh 0.0.1 "+arch+" MIT" {
		t.Errorf("it is %q", got)
	}
	if got := strings.TrimSpace(query("--configfiles")); got != "/etc/poosh/.env" {
		t.Errorf("files of settings are %q", got)
	}
	if got := query("--requires"); !strings.Contains(got, "shadow-utils\n") {
		t.Errorf("it requires %q", got)
	}

	m := newMachine(t)
	m.put(path, "/tmp/1.rpm")
	calls := fakeSystemctl(m)
	// The programs that it requires are here, in packages of another kind.
	m.run("rpm --install --nodeps --force-debian --nosignature /tmp/1.rpm 2>&1")
	calls("daemon-reload")
	if got := m.stat("/etc/poosh/.env"); got != "640 root:poosh" {
		t.Errorf("the file of settings is %s", got)
	}
	configure(m)
	s := startUnit(m)
	s.ready(m)
	arrives(m)
	s.stop()
	m.run("rpm --erase --nodeps --force-debian poosh 2>&1")
	calls("disable --now poosh.service poosh-client.socket poosh-server.socket", "daemon-reload")
	if m.has("/usr/bin/poosh") || !m.has("/var/lib/poosh/push-socket.db") || !m.has("/etc/poosh/.env.rpmsave") {
		t.Error("erased, it has left the program, or has not left settings and data")
	}
}

// debianHolds looks at the files of the package for Debian.
func debianHolds(t *testing.T, path string) {
	t.Helper()
	var got []string
	for line := range strings.Lines(output(t, exec.Command("dpkg-deb", "--contents", path))) {
		f := strings.Fields(line) // mode owner/group size date time ./path
		path := strings.TrimSuffix(strings.TrimPrefix(f[5], "."), "/")
		if f[0][0] != 'd' || strings.Contains(path, "/poosh") && path != "/usr/share/doc/poosh" {
			got = append(got, f[0]+" "+strings.Replace(f[1], "/", ":", 1)+" "+path)
		}
	}
	want := append(slices.Clone(held), "-rw-r--r-- root:root /usr/share/doc/poosh/copyright", "-rw-r--r-- root:root /usr/share/zsh/vendor-completions/_poosh")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("it holds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
