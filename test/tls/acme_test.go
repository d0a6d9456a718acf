package tls

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/server"
	"poosh/server/certificate/certificatetest"
)

// pebble is an authority that speaks ACME, Debian's.
type pebble struct {
	directory, root string // where it is, and a file that vouches for it
	client          *http.Client
	management      string
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
	start(t, cmd)
	p := &pebble{"https://" + at + "/dir", root, &http.Client{Transport: &http.Transport{TLSClientConfig: own.Client()}}, manage}
	eventually(t, "pebble", func() bool {
		resp, err := p.client.Get(p.directory)
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

// TestACME gets a certificate in either way, and new ones before it ends, while who is
// connected stays, and events go on.
func TestACME(t *testing.T) {
	for _, way := range []string{"HTTP-01", "TLS-ALPN-01"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			name := strings.ToLower(way) + ".example.com"
			s := &site{}
			httpPort, tlsPort := freePort(t), freePort(t)
			clientPort := tlsPort
			set := map[string]string{"TLS_DOMAINS": name, "ACME_DIR": t.TempDir(), "ACME_EMAIL": "operator@example.com"}
			if way == "HTTP-01" {
				clientPort = freePort(t) // nobody is where the authority asks
				set["ACME_HTTP_PORT"] = strconv.Itoa(httpPort)
			} else {
				set["ACME_HTTP_PORT"] = "0"
			}
			p := startPebble(t, httpPort, tlsPort, time.Minute) // a try that fails leaves time for more
			set["ACME_CA"], set["ACME_CA_ROOT"] = p.directory, p.root
			set["CLIENT_PORT"] = strconv.Itoa(clientPort)
			s = serve(t, set, func(c *server.Config) { c.TLS.Every = time.Second })
			s.client = clientPort
			trusts := p.trusts(t, name)

			var first string
			eventually(t, "a certificate", func() bool {
				var err error
				first, err = s.shows(trusts)
				return err == nil
			})
			l := s.listen(t, trusts)
			sent := 0
			eventually(t, "another certificate", func() bool {
				if err := s.send("http", nil, "x"); err != nil {
					t.Fatal(err)
				}
				sent++
				now, err := s.shows(trusts)
				if err != nil {
					t.Fatalf("a handshake failed: %v", err)
				}
				return now != first
			})
			for n := range sent {
				select {
				case <-l.got:
				case err := <-l.ended:
					t.Fatalf("closed after %d of %d events: %v", n, sent, err)
				case <-time.After(patience):
					t.Fatalf("%d of %d events", n, sent)
				}
			}
		})
	}
}
