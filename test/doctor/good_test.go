package doctor

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"poosh/server/doctor"
)

// example is a file of the examples with other ports, names and paths; each of the texts
// must stand there.
func example(path string, changes ...string) (string, error) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "examples", path))
	if err != nil {
		return "", err
	}
	text := string(raw)
	for i := 0; i < len(changes); i += 2 {
		if !strings.Contains(text, changes[i]) {
			return "", fmt.Errorf("examples/%s has no %q", path, changes[i])
		}
		text = strings.ReplaceAll(text, changes[i], changes[i+1])
	}
	return text, nil
}

// A setup is something good to look at: it starts what there is on a port, and says what
// else the doctor is told.
type setup struct {
	name  string
	in    func(t *testing.T, s *station) *station                // nil for s
	start func(s *station, dir string, port int) (*proxy, error) // nil for no proxy
	look  func(s *station, port int) []string
}

func overTLS(_ *station, port int) []string {
	return []string{fmt.Sprintf("https://127.0.0.1:%d", port)}
}

func plainly(_ *station, port int) []string {
	return []string{fmt.Sprintf("http://127.0.0.1:%d", port)}
}

// base is the configuration of the other tests, before anything is wrong.
func base(name, certificate string) func(s *station, dir string, port int) (*proxy, error) {
	return func(s *station, dir string, port int) (*proxy, error) {
		return newLayout(s, name, certificate).start(dir, port)
	}
}

// site puts an example of nginx into what stands around it.
func site(path string, from func(s *station) []string) func(s *station, dir string, port int) (*proxy, error) {
	return func(s *station, dir string, port int) (*proxy, error) {
		text, err := example(path, append(from(s), "listen 443 ssl;", fmt.Sprintf("listen 127.0.0.1:%d ssl;", port))...)
		if err != nil {
			return nil, err
		}
		text = strings.ReplaceAll(text, "listen [::]:443 ssl;", "")
		return startText("nginx", dir, nginxHead(dir)+text+"}\n", port)
	}
}

func certificateOf(s *station, pem, key string) []string {
	return []string{pem, s.pki.file("good.pem"), key, s.pki.file("good.key")}
}

// itself is everything of a server without a proxy.
func itself(scheme string) func(s *station, port int) []string {
	return func(s *station, _ int) []string {
		at := func(port int) string { return fmt.Sprintf("%s://127.0.0.1:%d", scheme, port) }
		return []string{at(s.first.Port), "--events", "--pusher", at(s.pusher), "--socktopus", at(s.socktopus), "--push-socket", at(s.pushSocket)}
	}
}

// sticky is a proxy in front of two servers that has been told what is advised for such.
func sticky(name string) func(s *station, dir string, port int) (*proxy, error) {
	return func(s *station, dir string, port int) (*proxy, error) {
		l := newLayout(s, name, "")
		switch name {
		case "nginx":
			l.add("upstream", "server "+s.second.Addr()+";")
		case "haproxy":
			l.add("backend", "server other "+s.second.Addr())
		case "caddy":
			l.add("to", s.second.Addr())
		case "apache":
			l.balance(s.first.Addr(), s.second.Addr())
		}
		at, err := url.Parse(s.first.URL())
		if err != nil {
			return nil, err
		}
		advice := doctor.Advice("not-sticky", at, s.first.Addr(), doctor.Timing{})
		mend := slices.IndexFunc(advice, func(m doctor.Mend) bool { return m.Proxy == name })
		if err := l.mend(advice[mend]); err != nil {
			return nil, err
		}
		return l.start(dir, port)
	}
}

// aside has no settings: an event that is sent to one of two servers comes to its clients
// alone.
func aside(t *testing.T, s *station) *station { return s.empty(t) }

var setups = []setup{
	{"poosh itself", nil, nil, itself("http")},
	{"poosh itself with TLS", func(t *testing.T, _ *station) *station { return startStation(t, "good") }, nil, itself("https")},
	{"nginx", nil, base("nginx", ""), plainly},
	{"nginx with TLS", nil, base("nginx", "good"), overTLS},
	{"haproxy", nil, base("haproxy", ""), plainly},
	{"haproxy with TLS", nil, base("haproxy", "good"), overTLS},
	{"caddy", nil, base("caddy", ""), plainly},
	{"caddy with TLS", nil, base("caddy", "good"), overTLS},
	{"apache", nil, base("apache", ""), plainly},
	{"apache with TLS", nil, base("apache", "good"), overTLS},
	{"example of nginx", nil, site("nginx/poosh.conf", func(s *station) []string {
		return append(certificateOf(s, "/etc/ssl/certs/push.example.com.pem", "/etc/ssl/private/push.example.com.key"), "127.0.0.1:8000", s.first.Addr())
	}), overTLS},
	{"two servers behind nginx", aside, sticky("nginx"), plainly},
	{"two servers behind haproxy", aside, sticky("haproxy"), plainly},
	{"two servers behind caddy", aside, sticky("caddy"), plainly},
	{"two servers behind apache", aside, sticky("apache"), plainly},
	{"example of nginx for compose", nil, func(s *station, dir string, port int) (*proxy, error) {
		return site("compose/nginx.conf", func(s *station) []string {
			return append(certificateOf(s, "/etc/nginx/certificates/push.example.com.pem", "/etc/nginx/certificates/push.example.com.key"),
				"poosh:8000", s.first.Addr(), "listen 80;", fmt.Sprintf("listen 127.0.0.9:%d;", port))
		})(s, dir, port)
	}, overTLS},
	{"example of nginx for the Push Socket Protocol", nil, site("nginx/push-socket.conf", func(s *station) []string {
		return append(certificateOf(s, "/etc/ssl/certs/keys.example.com.pem", "/etc/ssl/private/keys.example.com.key"), "127.0.0.1:3100", fmt.Sprint("127.0.0.1:", s.pushSocket))
	}), func(s *station, port int) []string {
		return []string{s.first.URL(), "--push-socket", fmt.Sprintf("https://127.0.0.1:%d", port)}
	}},
	{"example of nginx for Pusher", nil, site("pusher/nginx.conf", func(s *station) []string {
		return append(certificateOf(s, "/etc/ssl/push.example.com.crt", "/etc/ssl/push.example.com.key"), "127.0.0.1:6001", fmt.Sprint("127.0.0.1:", s.pusher))
	}), func(s *station, port int) []string {
		at := fmt.Sprintf("https://127.0.0.1:%d", port)
		return []string{s.first.URL(), "--pusher", at, "--pusher-api", at}
	}},
	{"example of nginx for Socktopus", nil, site("nginx/socktopus.conf", func(s *station) []string {
		return append(certificateOf(s, "/etc/ssl/certs/socktopus.example.com.pem", "/etc/ssl/private/socktopus.example.com.key"), "127.0.0.1:8080", fmt.Sprint("127.0.0.1:", s.socktopus))
	}), func(s *station, port int) []string {
		at := fmt.Sprintf("https://127.0.0.1:%d", port)
		return []string{s.first.URL(), "--socktopus", at, "--socktopus-api", at}
	}},
	{"example of haproxy", nil, func(s *station, dir string, port int) (*proxy, error) {
		text, err := example("haproxy/haproxy.cfg", "maxconn 100000", "maxconn 100", "bind :443", fmt.Sprint("bind 127.0.0.1:", port),
			"/etc/haproxy/push.example.com.pem", s.pki.file("good.both"), "127.0.0.1:8000", s.first.Addr())
		if err != nil {
			return nil, err
		}
		return startText("haproxy", dir, text, port)
	}, overTLS},
	{"example of caddy", nil, func(s *station, dir string, port int) (*proxy, error) {
		text, err := example("caddy/Caddyfile", "\npush.example.com {", fmt.Sprintf("\nhttps://127.0.0.1:%d {\n\tbind 127.0.0.1\n\ttls %s %s", port, s.pki.file("good.pem"), s.pki.file("good.key")),
			"127.0.0.1:8000", s.first.Addr())
		if err != nil {
			return nil, err
		}
		return startText("caddy", dir, "{\nadmin off\nauto_https off\n}\n"+text, port)
	}, overTLS},
	{"example of apache", nil, func(s *station, dir string, port int) (*proxy, error) {
		text, err := example("apache/poosh.conf", append(certificateOf(s, "/etc/ssl/certs/push.example.com.pem", "/etc/ssl/private/push.example.com.key"),
			"*:443", fmt.Sprint("127.0.0.1:", port), "127.0.0.1:8000", s.first.Addr())...)
		if err != nil {
			return nil, err
		}
		return startText("apache", dir, apacheHead(dir, port)+text, port)
	}, overTLS},
}

// Of what is set up well nothing is said.
func TestGoodProxies(t *testing.T) {
	s := startStation(t, "")
	base := t.TempDir()
	stations := make([]*station, len(setups))
	for i := range setups {
		if stations[i] = s; setups[i].in != nil {
			stations[i] = setups[i].in(t, s)
		}
	}
	together(t, len(setups), func(i int) string { return setups[i].name }, func(i int) error {
		dir := fmt.Sprint(base, "/", i)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
		s, at := stations[i], 0
		if setups[i].start != nil {
			p, port, err := anywhere(t, func(port int) (*proxy, error) { return setups[i].start(s, dir, port) })
			if err != nil {
				return err
			}
			defer p.stop()
			at = port
		}
		args := setups[i].look(s, at)
		_, err := s.finds(nil, append(args[1:], args[0])...)
		return err
	})
}
