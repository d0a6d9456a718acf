package tls

import (
	"crypto/tls"
	"io"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/server/certificate/certificatetest"
)

// failed is how many handshakes have failed, as Prometheus is told.
func (s *site) failed(t *testing.T, admin int) int {
	t.Helper()
	resp, err := operators.Get("http://" + addr(admin) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	m := regexp.MustCompile(`(?m)^poosh_tls_handshakes_total\{outcome="failed"\} (\d+)$`).FindSubmatch(text)
	if err != nil || m == nil {
		t.Fatalf("%v, no count in:\n%s", err, text)
	}
	n, _ := strconv.Atoi(string(m[1]))
	return n
}

// TestCertificatesOfPeers: a peer is asked for a certificate if TLS_CLIENT_CA says who
// vouches for it, and is let in with one of theirs alone.
func TestCertificatesOfPeers(t *testing.T) {
	good, other := certificatetest.New(t), certificatetest.New(t)
	dir := t.TempDir()
	write(t, dir+"/clients.pem", good.PEM())
	own := func(a *certificatetest.Authority) *tls.Certificate {
		cert, key := a.Issue("client.example", time.Now().Add(-time.Hour), time.Now().Add(time.Hour))
		pair, err := tls.X509KeyPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return &pair
	}
	for _, tt := range []struct {
		name   string
		set    bool             // TLS_CLIENT_CA
		shows  *tls.Certificate // the peer's; nil for none
		taken  bool
		reason string // in the log
	}{
		{"not set, nothing shown", false, nil, true, ""},
		{"not set, one at hand", false, own(other), true, ""},
		{"nothing shown", true, nil, false, "didn't provide a certificate"},
		{"another authority's", true, own(other), false, "unknown authority"},
		{"the authority's", true, own(good), true, ""},
	} {
		for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
			t.Run(tt.name+", TLS "+name, func(t *testing.T) {
				set, a, _, _ := files(t, "push.example.com")
				admin := freePort(t)
				set["TLS_SENDERS"], set["ADMIN_PORT"], set["LOG_LEVEL"] = "on", strconv.Itoa(admin), "debug"
				if tt.set {
					set["TLS_CLIENT_CA"] = dir + "/clients.pem"
				}
				s := serve(t, set, nil)
				asked := false
				trusts := a.Client()
				trusts.MaxVersion = version
				trusts.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					asked = true
					if tt.shows == nil {
						return new(tls.Certificate), nil
					}
					return tt.shows, nil
				}
				l, err := s.enter(t, trusts)
				if (err == nil) != tt.taken || asked != tt.set {
					t.Fatalf("a client: %v; asked for a certificate: %v", err, asked)
				}
				if err := s.send("https", trusts, "x"); (err == nil) != tt.taken {
					t.Fatalf("a sender: %v", err)
				}
				if tt.taken {
					select {
					case <-l.got:
					case err := <-l.ended:
						t.Fatal(err)
					case <-time.After(patience):
						t.Fatal("no event")
					}
					if n := s.failed(t, admin); n != 0 {
						t.Errorf("%d handshakes are said to have failed", n)
					}
					return
				}
				eventually(t, "both to be counted", func() bool { return s.failed(t, admin) == 2 })
				eventually(t, "a word about each", func() bool {
					return strings.Count(s.log.String(), tt.reason) == 2 && strings.Count(s.log.String(), "TLS handshake failed") == 2
				})
			})
		}
	}
}
