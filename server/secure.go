package server

import (
	"context"
	"fmt"
	"net"
	"sync"

	"poosh/server/certificate"
	"poosh/server/dialect"
	"poosh/server/metric"
	"poosh/server/secure"
)

// A security is what the ports that speak TLS share.
type security struct {
	certificates certificate.Source // set once; nil without TLS
	handshakes   *secure.Gate       // set once; nil without TLS
}

// secure gets what the ports need for TLS, if the settings ask for it.
func (s *Server) secure() error {
	if !s.cfg.TLS.On() {
		return nil
	}
	source, err := certificate.New(&s.cfg.TLS, s.log)
	if err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	cfg, err := certificate.TLS(&s.cfg.TLS, source)
	if err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	s.security = security{source, secure.NewGate(cfg)}
	return nil
}

// recertify prepares what follows from the certificates of settings that were read anew.
func (s *Server) recertify(next *certificate.Config) (commit func(), err error) {
	if s.certificates == nil {
		return func() {}, nil
	}
	before := &s.config().TLS
	use := func() { s.certificates.Use(next) }
	if next.SameClients(before) {
		return use, nil // handshakes as they are: sessions are resumed
	}
	cfg, err := certificate.TLS(next, s.certificates)
	if err != nil {
		return nil, fmt.Errorf("TLS_CLIENT_CA: %w", err)
	}
	return func() {
		use()
		s.handshakes.Use(cfg)
	}, nil
}

// handshakesOf returns the handshakes of a port; nil for one without TLS.
func (s *Server) handshakesOf(p *port) *secure.Gate {
	if !s.cfg.secures(p.Visitors) {
		return nil
	}
	return s.handshakes
}

// Scheme is how a server of these settings is asked at the port that a setting names: https
// where that speaks TLS, and else http.
func (c *Config) Scheme(port string) string {
	for _, d := range c.on() {
		for _, p := range d.Ports {
			if p.Setting == port && c.secures(p.Visitors) {
				return "https"
			}
		}
	}
	return "http"
}

// secures reports whether ports with such visitors speak TLS: who listens has it with the
// certificates, who publishes alone when the settings say so.
func (c *Config) secures(v dialect.Visitors) bool {
	return c.TLS.On() && (v != dialect.Senders || c.TLS.Senders)
}

// keepCertificates keeps certificates new and warns of their end, until stop is called.
func (s *Server) keepCertificates() (stop func()) {
	if s.certificates == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var keeping sync.WaitGroup
	keeping.Go(func() { s.certificates.Watch(ctx, s.secureAddr()) })
	keeping.Go(func() { certificate.Warn(ctx, s.certificates.Leaves, s.log) })
	return func() {
		cancel()
		keeping.Wait()
	}
}

// secureAddr is where some port speaks TLS. All are open.
func (s *Server) secureAddr() net.Addr {
	for _, p := range s.ports {
		if s.handshakesOf(p) != nil {
			return p.ln.Addr()
		}
	}
	return nil
}

// tlsReadings are about handshakes and certificates; none without TLS.
func (s *Server) tlsReadings() []metric.Reading {
	if s.handshakes == nil {
		return nil
	}
	st := s.handshakes.Stats()
	ends := metric.Reading{Name: "certificate_expiration_timestamp_seconds", Kind: metric.IsGauge, Labels: []string{"name"},
		Help: "When the certificate that is shown for a name ends, in seconds since 1970."}
	for _, leaf := range s.certificates.Leaves() {
		name := leaf.Subject.CommonName
		if len(leaf.DNSNames) > 0 {
			name = leaf.DNSNames[0]
		}
		ends.Samples = append(ends.Samples, metric.Of(leaf.NotAfter.Unix(), name))
	}
	return []metric.Reading{ends,
		metric.Counters("", "tls_handshakes_total", "Handshakes of TLS by how they ended: done, failed, late, or plain for HTTP without TLS.", "outcome",
			[]metric.Sample{metric.Of(st.Done, "done"), metric.Of(st.Failed, "failed"), metric.Of(st.Late, "late"), metric.Of(st.Plain, "plain")}),
	}
}
