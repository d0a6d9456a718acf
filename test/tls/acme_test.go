package tls

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server"
	"poosh/server/certificate/certificatetest"
	"poosh/server/logtest"
	"poosh/test/process"
)

// pebble is an authority that speaks ACME, Debian's.
type pebble struct {
	at, root   string // where it is, and a file that vouches for it
	client     *http.Client
	management string
	log        *logtest.Buffer
}

// startPebble runs one that asks at these ports, and whose certificates last so long.
func startPebble(t *testing.T, httpPort, tlsPort int, lasts time.Duration) *pebble {
	t.Helper()
	program, dns := tool(t, "pebble", "pebble"), tool(t, "pebble-challtestsrv", "pebble")
	dir, own := t.TempDir(), certificatetest.New(t)
	cert, key, root := own.Write(dir, "localhost")
	at, manage, resolver, dnsManage := addr(freePort(t)), addr(freePort(t)), addr(freePort(t)), addr(freePort(t))
	config, _ := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": at, "managementListenAddress": manage, "certificate": cert, "privateKey": key,
		"httpPort": httpPort, "tlsPort": tlsPort, "certificateValidityPeriod": int(lasts.Seconds()),
	}})
	write(t, filepath.Join(dir, "pebble.json"), config)
	start(t, exec.Command(dns, "-dns01", resolver, "-management", dnsManage, "-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""))
	cmd := exec.Command(program, "-config", filepath.Join(dir, "pebble.json"), "-dnsserver", resolver)
	cmd.Env = append(cmd.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_WFE_NONCEREJECT=0", "PEBBLE_AUTHZREUSE=0")
	p := &pebble{at, root, &http.Client{Transport: &http.Transport{TLSClientConfig: own.Client()}}, manage, start(t, cmd)}
	eventually(t, "pebble", func() bool {
		resp, err := p.client.Get("https://" + at + "/dir")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	return p
}

// trusts believes what the authority has signed.
func (p *pebble) trusts(t *testing.T, name string) *tls.Config {
	t.Helper()
	resp, err := p.client.Get("https://" + p.management + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		t.Fatalf("no root: %s", text)
	}
	return &tls.Config{RootCAs: pool, ServerName: name}
}

// orders is how many the authority has been given.
func (p *pebble) orders() int { return strings.Count(p.log.String(), "Added order ") }

// A door is a port in front of the authority. While it is shut nobody seems to be there.
type door struct {
	*process.Front
	to   string
	shut atomic.Bool
}

func newDoor(t *testing.T, to string) *door {
	d := &door{to: to}
	d.Front = process.Serve(t, func(f *process.Front, c net.Conn) {
		if !f.Keep(c) || d.shut.Load() {
			return
		}
		if up, err := net.Dial("tcp", d.to); err == nil {
			f.Join(c, up)
		}
	})
	return d
}

// close has the authority go away.
func (d *door) close() {
	d.shut.Store(true)
	d.Reset()
}

// renewalClients are connected while a certificate is replaced.
const renewalClients = 50

// An enrolled site is a server whose certificates an authority gives, and clients that count what
// it sends meanwhile.
type enrolled struct {
	*site
	t         *testing.T
	authority *pebble
	door      *door
	set       map[string]string
	admin     int
	early     float64
	trusts    *tls.Config
	clients   []*listener
	sent      int
}

// enroll starts the server. Certificates last so long, and early is the part of that in which
// they are renewed.
func enroll(t *testing.T, way string, lasts time.Duration, early float64) *enrolled {
	name := strings.ToLower(strings.ReplaceAll(way, " ", "-")) + ".example.com"
	a := &enrolled{t: t, admin: freePort(t), early: early}
	httpPort, clientPort := freePort(t), freePort(t)
	tlsPort := freePort(t) // nobody is where the authority asks
	a.set = map[string]string{"TLS_DOMAINS": name, "ACME_DIR": t.TempDir(), "ACME_EMAIL": "operator@example.com", "ADMIN_PORT": strconv.Itoa(a.admin),
		"ACME_HTTP_PORT": strconv.Itoa(httpPort)}
	if way == "TLS-ALPN-01" {
		tlsPort, a.set["ACME_HTTP_PORT"] = clientPort, "0"
	}
	a.authority = startPebble(t, httpPort, tlsPort, lasts)
	a.door = newDoor(t, a.authority.at)
	a.set["ACME_CA"], a.set["ACME_CA_ROOT"] = "https://"+addr(a.door.Port)+"/dir", a.authority.root
	a.set["CLIENT_PORT"] = strconv.Itoa(clientPort)
	a.trusts = a.authority.trusts(t, name)
	a.start()
	return a
}

// start starts the server, with what it has kept.
func (a *enrolled) start() {
	a.t.Helper()
	a.site = serve(a.t, a.set, func(c *server.Config) { c.TLS.Every, c.TLS.Early = time.Second, a.early })
	a.client, _ = strconv.Atoi(a.set["CLIENT_PORT"])
	eventually(a.t, "the server to be ready", a.ready)
}

// ready is what the server says of itself.
func (a *enrolled) ready() bool {
	resp, err := operators.Get("http://" + addr(a.admin) + "/ready")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// certificate waits until there is one.
func (a *enrolled) certificate() (serial string) {
	a.t.Helper()
	eventually(a.t, "a certificate", func() bool {
		var err error
		serial, err = a.shows(a.trusts)
		return err == nil
	})
	return serial
}

// until sends events while what is waited for is not there: each handshake is good meanwhile,
// and the server is ready.
func (a *enrolled) until(what string, within time.Duration, so func(serial string) bool) {
	a.t.Helper()
	for end := time.Now().Add(within); ; time.Sleep(50 * time.Millisecond) {
		if err := a.send("http", nil, "x"); err != nil {
			a.t.Fatal(err)
		}
		a.sent++
		serial, err := a.shows(a.trusts)
		if err != nil {
			a.t.Fatalf("a handshake failed: %v", err)
		}
		if !a.ready() {
			a.t.Fatal("the server is not ready")
		}
		if so(serial) {
			return
		}
		if time.Now().After(end) {
			a.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// checkClients looks whether all are there and have heard all.
func (a *enrolled) checkClients() {
	a.t.Helper()
	for _, l := range a.clients {
		for n := range a.sent {
			select {
			case <-l.got:
			case err := <-l.ended:
				a.t.Fatalf("closed after %d of %d events: %v", n, a.sent, err)
			case <-time.After(patience):
				a.t.Fatalf("%d of %d events", n, a.sent)
			}
		}
	}
}

// TestACME gets a certificate in either way, and another one before it ends, while who is
// connected stays and events go on; while the authority is away too, which is asked again.
// With what is kept of it a server goes on that is started anew.
func TestACME(t *testing.T) {
	for _, tt := range []struct {
		way   string
		lasts time.Duration
		early float64
		away  bool
	}{
		// A try that fails leaves time for another, which is after a minute.
		{"HTTP-01", 2 * time.Minute, 0.85, false},
		{"TLS-ALPN-01", 2 * time.Minute, 0.85, false},
		{"authority away", 2 * time.Minute, 0.9, true},
	} {
		t.Run(tt.way, func(t *testing.T) {
			t.Parallel()
			a := enroll(t, tt.way, tt.lasts, tt.early)
			a.certificate()
			if tt.away {
				a.door.close()
			}
			first := a.certificate()
			for range renewalClients {
				a.clients = append(a.clients, a.listen(t, a.trusts))
			}
			if tt.away {
				a.until("a word about the authority", patience, func(serial string) bool {
					if serial != first {
						t.Fatal("a certificate of nobody's")
					}
					return strings.Contains(a.log.String(), "certificate not renewed by ACME")
				})
				a.door.shut.Store(false)
			}
			a.until("another certificate", 2*patience, func(serial string) bool { return serial != first })
			a.checkClients()
			if tt.away {
				return
			}
			kept, orders := a.certificate(), a.authority.orders()
			if orders < 2 {
				t.Fatalf("the authority tells of %d orders", orders)
			}
			a.stop()
			a.early = 0 // a third, so that it is not to be renewed yet
			a.start()
			if again := a.certificate(); again != kept {
				t.Errorf("another certificate than before is shown")
			}
			looks := 0
			a.until("it to have looked", patience, func(serial string) bool {
				looks++
				return serial != kept || looks > 40 // two looks of its own
			})
			if now := a.authority.orders(); now != orders {
				t.Errorf("%d more orders after a start", now-orders)
			}
		})
	}
}
