package doctor

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"poosh/server/doctor"
)

// A set is what is advised for one proxy, and the first of the faults that it is for.
type set struct {
	fault string
	doctor.Mend
}

func (s set) String() string { return s.Proxy + " " + s.fault }

// sets are all that is advised, each set once, for a server that has a path before
// /socket.io/ and for one that has none.
func sets() (list []set) {
	seen := make(map[string]bool)
	for _, path := range []string{"/push", ""} {
		at := &url.URL{Scheme: "https", Host: "push.example.com", Path: path}
		for _, id := range doctor.IDs() {
			for _, m := range doctor.Advice(id, at, "127.0.0.1:8000", doctor.Timing{}) {
				if key := fmt.Sprintf("%q", m); !seen[key] {
					seen[key] = true
					list = append(list, set{id, m})
				}
			}
		}
	}
	return list
}

// A check is a configuration that the program of its proxy has to understand.
type check struct {
	name string
	l    *layout
}

// checks puts every set of advised lines into a good configuration, and every line that one
// of them is against.
func checks(t *testing.T, pki *authority) (list []check) {
	t.Helper()
	used := make(map[string]bool)
	good := func(proxy string) *layout {
		l := layoutOf(pki, "127.0.0.1:8000", proxy, "good")
		if proxy == "apache" {
			l.balance("127.0.0.1:8000", "127.0.0.1:8001")
			l.add("VirtualHost", "RewriteEngine on")
		}
		return l
	}
	for _, s := range sets() {
		l := good(s.Proxy)
		if err := l.mend(s.Mend); err != nil {
			t.Errorf("%s: %v", s, err)
			continue
		}
		list = append(list, check{fmt.Sprintf("%s: what is advised, %q", s, s.Add), l})
		for _, beginning := range s.Remove {
			key := s.Proxy + " " + beginning
			_, absent := notHere[key]
			if w, ok := wrongLines[s.Proxy][beginning]; ok == absent {
				if has := slices.ContainsFunc(good(s.Proxy).blocks[s.Where], func(line string) bool { return strings.HasPrefix(line, beginning) }); !has || ok {
					t.Errorf("%s: %q is advised against: want a line that begins so in wrongLines, or a reason why it cannot be tried in notHere", s, beginning)
				}
			} else if ok && !used[key+s.Where] {
				l := good(s.Proxy)
				if err := w.into(l, s.Where, beginning); err != nil {
					t.Errorf("%s: %v", s, err)
				}
				list = append(list, check{fmt.Sprintf("%s: what is advised against, %q", s, w.line), l})
			}
			used[key], used[key+s.Where] = true, true
		}
	}
	for proxy, lines := range wrongLines {
		for beginning := range lines {
			if !used[proxy+" "+beginning] {
				t.Errorf("%s: nothing that is advised is against %q", proxy, beginning)
			}
		}
	}
	for key := range notHere {
		if !used[key] {
			t.Errorf("nothing that is advised is against %q", key)
		}
	}
	return list
}

// into puts a wrong line into a layout. It must be one that the advice finds.
func (w wrong) into(l *layout, where, beginning string) error {
	if w.where != "" && w.where != within[l.proxy+" "+where] {
		return fmt.Errorf("%q stands in %s, which is not within %s", w.line, w.where, where)
	}
	if w.where != "" {
		where = w.where
	}
	if !slices.ContainsFunc(strings.Split(w.line, "\n"), func(line string) bool { return strings.HasPrefix(line, beginning) }) {
		return fmt.Errorf("%q does not begin with %q", w.line, beginning)
	}
	if w.with != "" {
		l.add("global", strings.ReplaceAll(w.with, "HOLD", l.pki.file("hold.lua")))
	}
	l.add(where, strings.ReplaceAll(w.line, "CHAIN", l.pki.file("good.pem")))
	return nil
}

// Every proxy understands what is advised for it, and what is advised against: no line is
// one that the program refuses, or one that there never was.
func TestAdviceIsUnderstood(t *testing.T) {
	pki := newAuthority(t)
	list := checks(t, pki)
	if want := 18 * len(doctor.Proxies); len(sets()) < want {
		t.Errorf("%d sets of lines, want %d", len(sets()), want)
	}
	base := t.TempDir()
	together(t, len(list), func(i int) string { return list[i].name }, func(i int) error {
		dir := filepath.Join(base, fmt.Sprint(i))
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		_, _, err := anywhere(t, func(port int) (*proxy, error) { return nil, list[i].l.understood(dir, port) })
		return err
	})
}

// checkers are the programs, and what has them look at a configuration and end.
var checkers = map[string]func(dir, file string) *exec.Cmd{
	"nginx": func(dir, _ string) *exec.Cmd {
		return exec.Command("nginx", "-t", "-p", dir, "-c", "conf", "-e", "stderr")
	},
	"haproxy": func(_, file string) *exec.Cmd { return exec.Command("haproxy", "-c", "-f", file) },
	"caddy": func(_, file string) *exec.Cmd {
		return exec.Command("caddy", "validate", "--adapter", "caddyfile", "--config", file)
	},
	"apache": func(dir, file string) *exec.Cmd { return exec.Command("apache2", "-t", "-d", dir, "-f", file) },
}

// understood has the program look at a configuration.
func (l *layout) understood(dir string, port int) error {
	text := l.text(dir, port)
	if l.proxy == "nginx" { // which opens its ports to see whether it may
		text = strings.NewReplacer("listen [::]:443", "listen "+anyIPv6(port), "listen 443", fmt.Sprint("listen 127.0.0.9:", port)).Replace(text)
	}
	file := filepath.Join(dir, "conf")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	cmd := checkers[l.proxy](dir, file)
	if cmd.Err != nil {
		return missing(cmd.Args[0])
	}
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s\n%s", err, out, text)
	}
	return nil
}

// anyIPv6 is an address to listen on that is written as one of IPv6, where there is any.
func anyIPv6(port int) string {
	ln, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		return fmt.Sprint("127.0.0.8:", port)
	}
	ln.Close()
	return fmt.Sprintf("[::1]:%d", port)
}
