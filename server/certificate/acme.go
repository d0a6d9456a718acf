package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"

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
	magic   *certmagic.Config
	issuer  certmagic.ACMEIssuer // what Watch makes one of
	options certmagic.CacheOptions
	cache   *certmagic.Cache
	log     *slog.Logger
}

// newAuthority prepares what Watch begins with. Nothing is asked for before.
func newAuthority(cfg *Config, log *slog.Logger) (*authority, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("ACME_DIR: %w", err)
	}
	logger := zapLogger(log)
	a := &authority{domains: cfg.Domains, log: log}
	a.options = certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return a.magic, nil },
		RenewCheckInterval: cfg.Every,
		Logger:             logger,
	}
	a.issuer = certmagic.ACMEIssuer{
		CA: cfg.CA, Email: cfg.Email, Agreed: true, Logger: logger,
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
	a.cache = certmagic.NewCache(a.options)
	a.magic = certmagic.New(a.cache, certmagic.Config{
		Storage:           &certmagic.FileStorage{Path: cfg.Dir},
		DefaultServerName: cfg.Domains[0], // for who names none
		Logger:            logger,
		OnEvent:           a.happened,
	})
	return a, nil
}

// happened is told by the library of what it does.
func (a *authority) happened(_ context.Context, event string, data map[string]any) error {
	if event == "cert_obtained" {
		a.log.Info("certificate obtained by ACME", "name", data["identifier"], "renewal", data["renewal"], "authority", data["issuer"])
	}
	return nil
}

// Certificate implements [Source].
func (a *authority) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return a.magic.GetCertificate(hello)
}

// Leaves implements [Source].
func (a *authority) Leaves() []*x509.Certificate {
	var list []*x509.Certificate
	for _, name := range a.domains {
		for _, c := range a.cache.AllMatchingCertificates(name) {
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
	defer a.cache.Stop()
	if tcp, ok := at.(*net.TCPAddr); ok {
		// The library asks whether somebody is there already before it listens itself.
		a.issuer.AltTLSALPNPort = tcp.Port
		if !tcp.IP.IsUnspecified() {
			a.issuer.ListenHost = tcp.IP.String()
		}
	}
	a.magic.Issuers = []certmagic.Issuer{certmagic.NewACMEIssuer(a.magic, a.issuer)}
	if err := a.magic.ManageAsync(ctx, a.domains); err != nil {
		a.log.Error("no certificates by ACME", "err", err)
	}
	<-ctx.Done()
}

// Reload implements [Source]: what an authority gives is there already.
func (a *authority) Reload() (changed bool, err error) { return false, nil }
