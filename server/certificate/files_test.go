package certificate

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/certificate/certificatetest"
	"poosh/server/setting"
)

// A record is a log that can be read while it is written.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(p)
}

func (r *record) count(what string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Count(r.text.String(), what)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func (r *record) log() *slog.Logger { return slog.New(slog.NewTextHandler(r, nil)) }

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !so(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func shown(f *Files) string { return f.Leaves()[0].DNSNames[0] }

// TestWatch replaces a certificate by good ones, in two steps too, and by broken ones,
// which change nothing and are spoken of once each.
func TestWatch(t *testing.T) {
	dir, a := t.TempDir(), certificatetest.New(t)
	cert, key, _ := a.Write(dir, "first.example")
	var log record
	f, err := Open(cert, key, log.log())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() { f.watch(ctx, 5*time.Millisecond) })
	defer watching.Wait()
	defer stop()

	a.Write(dir, "second.example")
	eventually(t, "the second", func() bool { return shown(f) == "second.example" })
	if log.count("certificate replaced") != 1 || log.count("second.example") != 1 {
		t.Error(log.String())
	}

	good, _ := os.ReadFile(cert)
	secret, _ := os.ReadFile(key)
	for i, text := range []string{"", "rubbish", string(good[:len(good)/2])} {
		certificatetest.Put(t, cert, []byte(text))
		eventually(t, "a word about it", func() bool { return log.count("cannot be used") == i+1 })
	}
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a word about it", func() bool { return log.count("cannot be used") == 4 })
	time.Sleep(50 * time.Millisecond) // many looks
	if n := log.count("cannot be used"); n != 4 || shown(f) != "second.example" {
		t.Errorf("said %d times, shows %s\n%s", n, shown(f), log.String())
	}
	for line := range strings.Lines(string(secret)) {
		if log.count(strings.TrimSpace(line)) > 0 && !strings.HasPrefix(line, "---") {
			t.Error("the key is in the log")
		}
	}

	// Another one's key beside it, and then its own.
	newCert, newKey := a.Issue("third.example", time.Time{}, time.Now().Add(time.Hour))
	certificatetest.Put(t, cert, newCert)
	eventually(t, "a word about it", func() bool { return log.count("cannot be used") == 5 })
	certificatetest.Put(t, key, newKey)
	eventually(t, "the third", func() bool { return shown(f) == "third.example" })
}

// TestUseless: a new certificate that clients refuse is spoken of at once.
func TestUseless(t *testing.T) {
	dir, a := t.TempDir(), certificatetest.New(t)
	cert, key, _ := a.Write(dir, "first.example")
	var log record
	f, err := Open(cert, key, log.log())
	if err != nil {
		t.Fatal(err)
	}
	now, hour := time.Now(), time.Hour
	for _, tt := range []struct {
		from, until time.Time
		want        string
	}{
		{now.Add(-2 * hour), now.Add(-hour), "has expired"},
		{now.Add(hour), now.Add(2 * hour), "is not valid yet"},
		{now.Add(-hour), now.Add(time.Minute), "expires soon"},
	} {
		c, k := a.Issue("next.example", tt.from, tt.until)
		certificatetest.Put(t, cert, c)
		certificatetest.Put(t, key, k)
		f.look()
		f.look()
		if log.count(tt.want) != 1 {
			t.Errorf("want %q once\n%s", tt.want, log.String())
		}
	}
}

// TestReload says at once what it finds.
func TestReload(t *testing.T) {
	dir, a := t.TempDir(), certificatetest.New(t)
	cert, key, _ := a.Write(dir, "first.example")
	f, err := Open(cert, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := f.Reload(); changed || err != nil {
		t.Errorf("%v, %v", changed, err)
	}
	a.Write(dir, "second.example")
	if changed, err := f.Reload(); !changed || err != nil || shown(f) != "second.example" {
		t.Errorf("%v, %v, %s", changed, err, shown(f))
	}
	if err := os.WriteFile(key, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if changed, err := f.Reload(); changed || err == nil || shown(f) != "second.example" {
		t.Errorf("%v, %v, %s", changed, err, shown(f))
	}
}

// TestNear warns when a certificate should have been replaced, and when it is too late.
func TestNear(t *testing.T) {
	now, day := time.Now(), 24*time.Hour
	for _, tt := range []struct {
		lasts, left time.Duration
		want        string
	}{
		{90 * day, 30 * day, ""}, {90 * day, 15 * day, ""}, {90 * day, 13 * day, "WARN"}, {90 * day, -day, "ERROR"},
		{6 * day, 2 * day, ""}, {6 * day, 12 * time.Hour, "WARN"},
		{90 * day, 91 * day, "ERROR"}, // from tomorrow on
	} {
		var log record
		warn(&x509.Certificate{NotBefore: now.Add(tt.left - tt.lasts), NotAfter: now.Add(tt.left)}, now, log.log())
		if got := log.String(); (got == "") != (tt.want == "") || !strings.Contains(got, tt.want) {
			t.Errorf("%v left of %v: %q, want %q", tt.left, tt.lasts, got, tt.want)
		}
	}
}

// TestWarner speaks of each once a day, and of one that comes within the hour.
func TestWarner(t *testing.T) {
	a, now := certificatetest.New(t), time.Now()
	leaf := func(name string) *x509.Certificate {
		c, k := a.Issue(name, now.Add(-time.Hour), now)
		pair, err := tls.X509KeyPair(c, k)
		if err != nil {
			t.Fatal(err)
		}
		return pair.Leaf
	}
	var log record
	w := warner{log: log.log()}
	list := []*x509.Certificate{leaf("first.example")}
	for hour := range 48 {
		if hour == 5 {
			list = append(list, leaf("second.example"))
		}
		w.look(list, now.Add(time.Duration(hour)*time.Hour))
		if first, second := log.count("first.example"), log.count("second.example"); first != 1+hour/24 || second != (hour+19)/24 {
			t.Fatalf("after %d hours: spoken of %d and %d times", hour, first, second)
		}
	}
}

// TestSettings says of each mistake what would be right.
func TestSettings(t *testing.T) {
	dir := t.TempDir()
	cert, key, ca := certificatetest.New(t).Write(dir, "a.example")
	other, _, _ := certificatetest.New(t).Write(t.TempDir(), "b.example")
	for name, tt := range map[string]struct {
		set  map[string]string
		want string // part of the mistake; empty for none
	}{
		"nothing":         {nil, ""},
		"files":           {map[string]string{"TLS_CERT": cert, "TLS_KEY": key, "TLS_SENDERS": "on", "TLS_CLIENT_CA": ca}, ""},
		"domains":         {map[string]string{"TLS_DOMAINS": "a.example, b.example", "ACME_CA": "https://localhost:14000/dir", "ACME_CA_ROOT": ca}, ""},
		"no key":          {map[string]string{"TLS_CERT": cert}, "TLS_KEY is not set"},
		"no certificate":  {map[string]string{"TLS_KEY": key}, "TLS_CERT is not set"},
		"another's key":   {map[string]string{"TLS_CERT": other, "TLS_KEY": key}, "private key does not match"},
		"no such file":    {map[string]string{"TLS_CERT": filepath.Join(dir, "none"), "TLS_KEY": key}, "no such file"},
		"both":            {map[string]string{"TLS_CERT": cert, "TLS_KEY": key, "TLS_DOMAINS": "a.example"}, "want one of them"},
		"senders alone":   {map[string]string{"TLS_SENDERS": "on"}, "TLS_SENDERS is on"},
		"a wildcard":      {map[string]string{"TLS_DOMAINS": "*.example"}, "want host names"},
		"a URL":           {map[string]string{"TLS_DOMAINS": "https://a.example"}, "want host names"},
		"twice":           {map[string]string{"TLS_DOMAINS": "a.example,A.example"}, "want each name once"},
		"plain authority": {map[string]string{"TLS_DOMAINS": "a.example", "ACME_CA": "http://a.example/dir"}, "want a URL such as https"},
		"no authorities":  {map[string]string{"TLS_CERT": cert, "TLS_KEY": key, "TLS_CLIENT_CA": key}, "want certificates in PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			var c Config
			var m setting.Mistakes
			groups := []*setting.Group{c.Settings()}
			setting.Read(groups, setting.Environment{Lookup: func(n string) (string, bool) { v, ok := tt.set[n]; return v, ok }}, &m)
			setting.Fill(groups[0].Settings)
			setting.Check(groups, &m)
			err := m.Err()
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// Who looks before the start is told of a certificate that clients refuse, and of domains
// that nobody can look for.
func TestDoubts(t *testing.T) {
	a, dir := certificatetest.New(t), t.TempDir()
	now := time.Now()
	for _, row := range []struct {
		from, to time.Duration
		want     string
	}{
		{-time.Hour, 60 * 24 * time.Hour, ""},
		{-time.Hour, time.Minute, "expires at"},
		{-time.Hour, -time.Minute, "expired at"},
		{time.Hour, 2 * time.Hour, "is not valid before"},
	} {
		cert, key := a.Issue("push.example.com", now.Add(row.from), now.Add(row.to))
		c := Config{Cert: certificatetest.Put(t, filepath.Join(dir, "cert.pem"), cert), Key: certificatetest.Put(t, filepath.Join(dir, "key.pem"), key)}
		got := strings.Join(c.Doubts(now, nil), "\n")
		if (row.want == "") != (got == "") || !strings.Contains(got, row.want) {
			t.Errorf("from %v to %v: %q, want %q", row.from, row.to, got, row.want)
		}
	}
	for _, row := range []struct {
		http  int
		ports []int
		doubt bool
	}{{80, []int{8443}, false}, {8080, []int{443}, false}, {8080, []int{8443}, true}, {0, nil, true}} {
		c := Config{Domains: []string{"push.example.com"}, HTTPPort: row.http}
		if got := c.Doubts(now, row.ports); (len(got) > 0) != row.doubt {
			t.Errorf("HTTP-01 on %d, TLS on %v: %q", row.http, row.ports, got)
		}
	}
}
