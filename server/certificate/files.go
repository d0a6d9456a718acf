package certificate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Files is a certificate and its key in two files. Make one with [Open]; its methods may
// be called from any goroutine.
type Files struct {
	log *slog.Logger // set once

	now atomic.Pointer[tls.Certificate]

	mu        sync.Mutex // guards what follows
	cert, key string     // where they are
	loaded    sum        // of what was read when now was
	broken    sum        // of what is there instead and cannot be used
	said      bool       // of broken
	reloads   int
}

// A sum tells the contents of both files from others.
type sum [sha256.Size]byte

// Open reads a certificate and its key.
func Open(cert, key string, log *slog.Logger) (*Files, error) {
	f := &Files{cert: cert, key: key, log: log}
	if _, err := f.Reload(); err != nil {
		return nil, err
	}
	return f, nil
}

// Certificate returns the one to show, for a [tls.Config].
func (f *Files) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.now.Load(), nil }

// Leaves returns what is shown.
func (f *Files) Leaves() []*x509.Certificate { return []*x509.Certificate{f.now.Load().Leaf} }

// Reload reads the files, and reports whether there is another certificate now. What
// cannot be used changes nothing.
func (f *Files) Reload() (changed bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reload()
}

// Use has the files looked at that settings name which were checked, from now on. Where they
// are of no use any more, what was found in them then counts.
func (f *Files) Use(cfg *Config) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cert, f.key = cfg.Cert, cfg.Key
	if _, err := f.reload(); err != nil && cfg.found != nil && cfg.sum != f.loaded {
		f.now.Store(cfg.found)
		f.loaded = cfg.sum
		f.reloads++
	}
}

func (f *Files) reload() (changed bool, err error) {
	p, err := readPair(f.cert, f.key)
	if err == nil && p.sum == f.loaded {
		f.broken, f.said = sum{}, false
		return false, nil
	}
	var c *tls.Certificate
	if err == nil {
		c, err = p.parse()
	}
	if err != nil {
		if again := sha256.Sum256(fmt.Append(p.sum[:], err)); again != f.broken {
			f.broken, f.said = again, false
		}
		return false, err
	}
	f.now.Store(c)
	f.loaded, f.broken, f.said = p.sum, sum{}, false
	f.reloads++
	return f.reloads > 1, nil
}

// lookEvery is how often the files are looked at.
const lookEvery = 2 * time.Second

// Watch looks at the files every few seconds until ctx ends. It says in the log what comes
// of it: of a pair that cannot be used once, and when it is found so twice, since one
// file is replaced before the other.
func (f *Files) Watch(ctx context.Context, _ net.Addr) { f.watch(ctx, lookEvery) }

func (f *Files) watch(ctx context.Context, every time.Duration) {
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			f.look()
		}
	}
}

// look is one look at the files.
func (f *Files) look() {
	f.mu.Lock()
	before := f.broken
	changed, err := f.reload()
	say := err != nil && f.broken == before && !f.said
	f.said = f.said || say
	file := f.cert
	f.mu.Unlock()
	leaf := f.now.Load().Leaf
	switch {
	case say:
		f.log.Error("the new certificate cannot be used, the one before stays", "err", err, "until", leaf.NotAfter)
	case changed:
		f.log.Info("certificate replaced", "file", file, "names", leaf.DNSNames, "until", leaf.NotAfter)
		warn(leaf, time.Now(), f.log)
	}
}

// A pair is what both files hold.
type pair struct {
	certFile, keyFile string
	cert, key         []byte
	sum               sum
}

func readPair(cert, key string) (p pair, err error) {
	p.certFile, p.keyFile = cert, key
	if p.cert, err = read(cert); err != nil {
		return p, err
	}
	if p.key, err = read(key); err != nil {
		return p, err
	}
	p.sum = sha256.Sum256(bytes.Join([][]byte{p.cert, p.key}, []byte{0}))
	return p, nil
}

// parse makes a certificate of them. Its errors have nothing of the key in them.
func (p pair) parse() (*tls.Certificate, error) {
	c, err := tls.X509KeyPair(p.cert, p.key)
	if err != nil {
		return nil, fmt.Errorf("%s with %s: %w", p.certFile, p.keyFile, err)
	}
	if c.Leaf == nil {
		if c.Leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
			return nil, fmt.Errorf("%s: %w", p.certFile, err)
		}
	}
	return &c, nil
}

// find reads and parses the pair that the settings name.
func (c *Config) find() error {
	p, err := readPair(c.Cert, c.Key)
	if err != nil {
		return err
	}
	c.found, err = p.parse()
	c.sum = p.sum
	return err
}
