package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"poosh/server/certificate/certificatetest"
	"poosh/server/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

var update = flag.Bool("update", false, "write the table of docs/proxies.md")

// The page has every fault, with what it says of it.
func TestPageHasAllFaults(t *testing.T) {
	const path = "../../docs/proxies.md"
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end = "<!-- faults: go test ./server/doctor -update writes this table -->\n", "<!-- end of faults -->"
	head, rest, ok := strings.Cut(string(raw), begin)
	_, tail, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the table", path)
	}
	var table strings.Builder
	table.WriteString("| id | why it matters |\n|---|---|\n")
	for _, k := range kinds {
		fmt.Fprintf(&table, "| `%s` | %s |\n", k.id, k.why)
	}
	want := head + begin + table.String() + end + tail
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(raw) != want {
		t.Errorf("%s is not what the faults are: go test ./server/doctor -update", path)
	}
}

// Each fault has a reason, something to do, and advice for all proxies or for none.
func TestKinds(t *testing.T) {
	seen := make(map[string]bool)
	for _, k := range kinds {
		if seen[k.id] || k.why == "" || k.do == "" && k.advice == nil {
			t.Errorf("%s: there twice, without a reason, or without anything to do", k.id)
		}
		seen[k.id] = true
		if k.advice == nil {
			continue
		}
		var proxies []string
		for _, m := range k.advice(newAdvice(&url.URL{Scheme: "https", Host: "push.example.com"}, "", Timing{})) {
			proxies = append(proxies, m.Proxy)
			if m.Where == "" || len(m.Add)+len(m.Remove) == 0 {
				t.Errorf("%s: the advice for %s is empty", k.id, m.Proxy)
			}
		}
		if !slices.Equal(proxies, Proxies) {
			t.Errorf("%s: advice for %q, want %q", k.id, proxies, Proxies)
		}
	}
}

// Times are longer than the server's own.
func TestAdviceKeepsTimes(t *testing.T) {
	for _, row := range []struct {
		interval, timeout time.Duration
		want              int
	}{{0, 0, 120}, {25 * time.Second, time.Minute, 120}, {2 * time.Minute, time.Minute, 210}} {
		if got := newAdvice(&url.URL{}, "", Timing{Interval: row.interval, Timeout: row.timeout}).seconds; got != row.want {
			t.Errorf("%v and %v: %d seconds, want %d", row.interval, row.timeout, got, row.want)
		}
	}
}

func TestJudge(t *testing.T) {
	a := certificatetest.New(t)
	issue := func(from, to time.Duration) []*x509.Certificate {
		now := time.Now()
		cert, key := a.Issue("push.example.com", now.Add(from), now.Add(to))
		pair, err := parsePair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return []*x509.Certificate{pair}
	}
	const day = 24 * time.Hour // for which the authority is good, from an hour ago
	for _, row := range []struct {
		name, host string
		chain      []*x509.Certificate
		roots      *x509.CertPool
		want       string
	}{
		{"good", "push.example.com", issue(-day, 60*day), a.Pool(), ""},
		{"of a short life", "push.example.com", issue(-time.Hour, day/2), a.Pool(), ""},
		{"soon", "push.example.com", issue(-60*day, day), a.Pool(), "certificate-soon"},
		{"expired", "push.example.com", issue(-30*time.Minute, -time.Minute), a.Pool(), "certificate-expired"},
		{"early", "push.example.com", issue(time.Hour, 2*time.Hour), a.Pool(), "certificate-early"},
		{"another name", "other.example.com", issue(-day, 60*day), a.Pool(), "certificate-name"},
		{"unknown", "push.example.com", issue(-day, 60*day), x509.NewCertPool(), "certificate-chain"},
		{"expired and unknown", "push.example.com", issue(-30*time.Minute, -time.Minute), x509.NewCertPool(), "certificate-expired certificate-chain"},
	} {
		x := &exam{Config: Config{Roots: row.roots}, host: row.host}
		var got []string
		for id := range x.judge(row.chain, time.Now()) {
			got = append(got, id)
		}
		if strings.Join(got, " ") != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
}

// Of addresses that do not answer is told, and so is that there are none.
func TestReach(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() { // ends with ln
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	port := ln.Addr().(*net.TCPAddr).Port
	here, silent := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.3") // where nobody listens
	for _, row := range []struct {
		list []netip.Addr
		want string
		code bool
	}{
		{[]netip.Addr{here}, "", false},
		{[]netip.Addr{silent, here}, "address-silent", false},
		{[]netip.Addr{silent}, "unreachable", true},
		{nil, "name-unknown", true},
	} {
		r := Examine(context.Background(), Config{URL: &url.URL{Scheme: "http", Host: fmt.Sprint("push.example.com:", port)},
			Resolve: func(context.Context, string) ([]netip.Addr, error) { return row.list, nil }})
		var got []string
		for _, f := range r.Faults {
			got = append(got, f.ID)
		}
		if strings.Join(got, " ") != row.want || r.Unreachable != row.code {
			t.Errorf("%v: %q and %t, want %q and %t", row.list, got, r.Unreachable, row.want, row.code)
		}
	}
}

func parsePair(cert, key []byte) (*x509.Certificate, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(pair.Certificate[0])
}
