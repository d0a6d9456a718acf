package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"poosh/server/logtest"
	"poosh/test/process"
)

// Clients reach the server through nginx with the sites of the examples, over
// TLS, by polling and by an upgrade; only names, ports and paths are others.
func TestExampleSiteOfNginx(t *testing.T) {
	for name, others := range map[string]struct{ server, certificate, key, more string }{
		"nginx/poosh.conf":   {"127.0.0.1:8000", "/etc/ssl/certs/push.example.com.pem", "/etc/ssl/private/push.example.com.key", "listen [::]:443 ssl;"},
		"compose/nginx.conf": {"poosh:8000", "/etc/nginx/certificates/push.example.com.pem", "/etc/nginx/certificates/push.example.com.key", "listen 80;"},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			dir, listen := t.TempDir(), freePort(t)
			certificate, key := selfSigned(t, dir)
			throughSite(t, s, dir, listen, certificate, read(t, example(name)), [][2]string{
				{"server " + others.server + ";", "server " + addr(s.clientPort) + ";"},
				{"listen 443 ssl;", "listen " + addr(listen) + " ssl;"},
				{others.more, "listen " + addr(freePort(t)) + ";"},
				{others.certificate, certificate},
				{others.key, key},
			})
		})
	}
}

// throughSite has clients come through a site of nginx, changed.
func throughSite(t *testing.T, s *server, dir string, listen int, certificate, site string, changes [][2]string) {
	t.Helper()
	for _, change := range changes {
		if strings.Count(site, change[0]) != 1 {
			t.Fatalf("the site should have %q once:\n%s", change[0], site)
		}
		site = strings.Replace(site, change[0], change[1], 1)
	}
	startNginx(t, dir, site, listen)

	t.Setenv("NODE_EXTRA_CA_CERTS", certificate)
	d := drive(t, "node.js")
	var all []*client
	for _, version := range []string{"1.3.4", "1.7.4", "2.5.0", "4.8.1"} {
		for _, way := range []string{"polling", "websocket", "upgrade"} {
			all = append(all, d.open(opening{
				Version: version, Way: way, URL: "https://" + addr(listen), Listen: []string{"e"}, Rooms: []string{"behind nginx"},
			}))
		}
	}
	for _, c := range all {
		c.wait(t, "connect", 1)
		if c.way == "upgrade" {
			c.wait(t, "upgrade", 1)
		}
	}
	s.waitRoom(t, "behind nginx", len(all))
	s.send(t, "behind nginx", "e", "1")
	for _, c := range all {
		c.events(t, "e", 1)
		if gone := c.seen("disconnect"); len(gone) > 0 {
			t.Errorf("%s: disconnect %q", c.id, gone[0].Text)
		}
	}
}

// startNginx starts an nginx with a site, in an empty directory of its own, and waits until it
// listens on the site's port. It ends with the test.
func startNginx(t *testing.T, dir, site string, listen int) {
	t.Helper()
	conf := "daemon off; master_process off; pid nginx.pid; error_log stderr warn;\nevents {}\nhttp {\naccess_log off;\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		conf += kind + "_temp_path " + dir + "/" + kind + ";\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "nginx.conf"), []byte(conf+site+"}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	said := &logtest.Buffer{}
	nginx := exec.Command("nginx", "-p", dir, "-c", "nginx.conf", "-e", "stderr")
	nginx.Stderr = said
	if err := process.StartBound(nginx, syscall.SIGKILL); err != nil {
		t.Fatalf("nginx: %v: apt-get install nginx-light", err)
	}
	t.Cleanup(func() {
		_ = nginx.Process.Signal(syscall.SIGTERM)
		_ = nginx.Wait()
	})
	eventually(t, patience, "nginx to listen", func() bool { return listening(listen) }, said.String)
}

// selfSigned writes a certificate for 127.0.0.1 and its key.
func selfSigned(t *testing.T, dir string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "e2e"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "EC PRIVATE KEY", keyDER)
}
