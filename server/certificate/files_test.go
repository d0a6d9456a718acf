package certificate

import (
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
	"poosh/server/logtest"
	"poosh/server/setting"
)

// A record is a log that can be read while it is written.
type record struct{ logtest.Buffer }

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
	eventually(t, "a word about it", func() bool { return log.Count("certificate replaced") > 0 }) // which comes behind
	if log.Count("certificate replaced") != 1 || log.Count("second.example") != 1 {
		t.Error(log.String())
	}

	good, _ := os.ReadFile(cert)
	secret, _ := os.ReadFile(key)
	for i, text := range []string{"", "rubbish", string(good[:len(good)/2])} {
		certificatetest.Put(t, cert, []byte(text))
		eventually(t, "a word about it", func() bool { return log.Count("cannot be used") == i+1 })
	}
	if err := os.Remove(cert); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a word about it", func() bool { return log.Count("cannot be used") == 4 })
	time.Sleep(50 * time.Millisecond) // many looks
	if n := log.Count("cannot be used"); n != 4 || shown(f) != "second.example" {
		t.Errorf("said %d times, shows %s\n%s", n, shown(f), log.String())
	}
	for line := range strings.Lines(string(secret)) {
		if log.Count(strings.TrimSpace(line)) > 0 && !strings.HasPrefix(line, "---") {
			t.Error("the key is in the log")
		}
	}

	// Another one's key beside it, and then its own.
	newCert, newKey := a.Issue("third.example", time.Time{}, time.Now().Add(time.Hour))
	certificatetest.Put(t, cert, newCert)
	eventually(t, "a word about it", func() bool { return log.Count("cannot be used") == 5 })
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
		if log.Count(tt.want) != 1 {
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

// TestUse takes what is in the files when it is used, which may have been replaced since they
// were checked, and what was checked if that is of no use.
func TestUse(t *testing.T) {
	dir, a := t.TempDir(), certificatetest.New(t)
	cert, key, _ := a.Write(dir, "first.example")
	f, err := Open(cert, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	checked := func(dir, name string) *Config {
		cert, key, _ := a.Write(dir, name)
		c := &Config{Cert: cert, Key: key}
		var m setting.Mistakes
		if c.check(&m); m.Err() != nil {
			t.Fatal(m.Err())
		}
		return c
	}
	same := checked(dir, "second.example")
	a.Write(dir, "third.example")
	if _, err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	if f.Use(same); shown(f) != "third.example" {
		t.Errorf("an older certificate is back: %s", shown(f))
	}
	other := checked(t.TempDir(), "fourth.example")
	if err := os.WriteFile(other.Key, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if f.Use(other); shown(f) != "fourth.example" {
		t.Errorf("what was checked does not count: %s", shown(f))
	}
	a.Write(filepath.Dir(other.Cert), "fifth.example")
	if changed, err := f.Reload(); !changed || err != nil || shown(f) != "fifth.example" {
		t.Errorf("%v, %v, %s", changed, err, shown(f))
	}
}

// TestCheckedClients: who vouches for clients is as it was checked, whatever is in the file
// by then.
func TestCheckedClients(t *testing.T) {
	dir, a := t.TempDir(), certificatetest.New(t)
	cert, key, root := a.Write(dir, "first.example")
	c := &Config{Cert: cert, Key: key, ClientCA: root}
	var m setting.Mistakes
	if c.check(&m); m.Err() != nil {
		t.Fatal(m.Err())
	}
	if err := os.WriteFile(root, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(cert, key, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if cfg, err := TLS(c, f); err != nil || cfg.ClientCAs == nil {
		t.Errorf("%v, %v", cfg, err)
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
		if first, second := log.Count("first.example"), log.Count("second.example"); first != 1+hour/24 || second != (hour+19)/24 {
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
