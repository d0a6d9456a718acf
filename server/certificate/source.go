package certificate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
)

// A Source has the certificates of a server. Its methods may be called from any goroutine.
type Source interface {
	// Certificate returns the one to show to a peer.
	Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Leaves are those that are shown now, for who looks when they end.
	Leaves() []*x509.Certificate
	// Watch keeps them new until ctx ends, while something at that address shakes hands
	// with them. It is called once.
	Watch(ctx context.Context, at net.Addr)
	// Reload looks for new ones at once, and reports whether there are.
	Reload() (changed bool, err error)
	// Use has those count that settings have found which were read anew and checked, and
	// which ask for the same kind of source.
	Use(*Config)
}

// New returns the source that the settings ask for.
func New(cfg *Config, log *slog.Logger) (Source, error) {
	if len(cfg.Domains) > 0 {
		return newAuthority(cfg, log)
	}
	return Open(cfg.Cert, cfg.Key, log)
}

// TLS is how a server shakes hands: TLS 1.2 at least, with HTTP/1.1 and nothing else, and
// a client's certificate asked for only if the settings name who vouches for it.
func TLS(cfg *Config, source Source) (*tls.Config, error) {
	t := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: source.Certificate,
	}
	if len(cfg.Domains) > 0 {
		t.NextProtos = append(t.NextProtos, alpnChallenge)
	}
	if cfg.ClientCA != "" {
		roots := cfg.vouch // as they were checked: the file may be another one by now
		if roots == nil {
			var err error
			if roots, err = pool(cfg.ClientCA); err != nil {
				return nil, err
			}
		}
		t.ClientCAs, t.ClientAuth = roots, tls.RequireAndVerifyClientCert // an authority that asks with TLS-ALPN-01 has none: HTTP-01 is for these
	}
	return t, nil
}
