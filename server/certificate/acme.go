package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/caddyserver/certmagic"

	"poosh/server/setting"
)

// alpnChallenge is what an authority offers that asks with TLS-ALPN-01 (RFC 8737).
const alpnChallenge = "acme-tls/1"

// An authority is a source that gets certificates by ACME, RFC 8555. Why certmagic: it has
// what takes years to get right, in Caddy: locks between processes that share a directory,
// renewal at the time that the authority asks for (ARI, RFC 9773), pauses that grow when
// one refuses, and staples.
type authority struct {
	domains []string
	dir     string
	every   time.Duration        // between looks at when certificates end; zero for the library's
	early   float64              // the part of a certificate's life in which it is renewed; zero for the library's
	issuer  certmagic.ACMEIssuer // what Watch makes one of
	log     *slog.Logger

	now atomic.Pointer[managed] // nil before Watch
}

// managed is what the library keeps while Watch runs.
type managed struct {
	cache *certmagic.Cache
	magic *certmagic.Config
}

// newAuthority prepares what Watch begins with. Nothing is asked for before.
func newAuthority(cfg *Config, log *slog.Logger) (*authority, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("ACME_DIR: %w", err)
	}
	a := &authority{domains: cfg.Domains, dir: cfg.Dir, every: cfg.Every, early: cfg.Early, log: log}
	a.issuer = certmagic.ACMEIssuer{
		CA: cfg.CA, Email: cfg.Email, Agreed: true, Logger: zapLogger(log),
		AltHTTPPort: cfg.HTTPPort, DisableHTTPChallenge: cfg.HTTPPort == setting.AnyPort,
	}
	if cfg.CA == "" {
		a.issuer.CA = certmagic.LetsEncryptProductionCA
	}
	if cfg.CARoot != "" {
		roots, err := pool(cfg.CARoot)
		if err != nil {
			return nil, fmt.Errorf("ACME_CA_ROOT: %w", err)
		}
		a.issuer.TrustedRoots = roots
	}
	return a, nil
}

// Use changes nothing: certificates are renewed when it is time.
func (a *authority) Use(*Config) {}

// manage has the library begin. Its cache has a goroutine, which ends with Stop.
func (a *authority) manage() *managed {
	m := new(managed)
	m.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return a.now.Load().magic, nil },
		RenewCheckInterval: a.every,
		Logger:             a.issuer.Logger,
	})
	own := certmagic.Config{
		Storage:            &certmagic.FileStorage{Path: a.dir},
		DefaultServerName:  a.domains[0], // for who names none
		RenewalWindowRatio: a.early,
		Logger:             a.issuer.Logger,
		OnEvent:            a.happened,
	}
	m.magic = certmagic.New(m.cache, own)
	m.magic.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(m.magic, a.issuer)}
	return m
}

// happened is told by the library of what it does.
func (a *authority) happened(_ context.Context, event string, data map[string]any) error {
	switch {
	case event == "cert_obtained":
		a.log.Info("certificate obtained by ACME", "name", data["identifier"], "renewal", data["renewal"], "authority", data["issuer"])
	case event == "cert_failed" && data["renewal"] == true: // of a first one the library says when it tries again
		left, _ := data["remaining"].(time.Duration)
		a.log.Error("certificate not renewed by ACME: the one before is shown, and it is tried again in a minute or more", "name", data["identifier"],
			"until", time.Now().Add(left).Truncate(time.Second), "err", data["error"])
	}
	return nil
}

// errNotYet is for handshakes before Watch.
var errNotYet = errors.New("there are no certificates yet")

// Certificate implements [Source].
func (a *authority) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	m := a.now.Load()
	if m == nil {
		return nil, errNotYet
	}
	return m.magic.GetCertificate(hello)
}

// Leaves implements [Source].
func (a *authority) Leaves() []*x509.Certificate {
	m := a.now.Load()
	if m == nil {
		return nil
	}
	var list []*x509.Certificate
	for _, name := range a.domains {
		for _, c := range m.cache.AllMatchingCertificates(name) {
			if c.Leaf != nil && !slices.ContainsFunc(list, c.Leaf.Equal) {
				list = append(list, c.Leaf)
			}
		}
	}
	return list
}

// Watch gets certificates that are not there yet, and new ones in time. It tries again for
// weeks when the authority does not give any, and says why in the log.
func (a *authority) Watch(ctx context.Context, at net.Addr) {
	if tcp, ok := at.(*net.TCPAddr); ok {
		// The library asks whether somebody is there already before it listens itself.
		a.issuer.AltTLSALPNPort = tcp.Port
		if !tcp.IP.IsUnspecified() {
			a.issuer.ListenHost = tcp.IP.String()
		}
	}
	m := a.manage()
	defer m.cache.Stop()
	a.now.Store(m)
	if err := m.magic.ManageAsync(ctx, a.domains); err != nil {
		a.log.Error("no certificates by ACME", "err", err)
	}
	<-ctx.Done()
}

// Reload implements [Source]: what an authority gives is there already.
func (a *authority) Reload() (changed bool, err error) { return false, nil }
