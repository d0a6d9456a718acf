package certificate

import (
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"slices"
	"time"
)

// near is how much of its time a certificate has left when it should have been replaced: a
// sixth, and two weeks at the most. Those who renew by themselves do it at a third.
func near(leaf *x509.Certificate) time.Duration {
	return min(leaf.NotAfter.Sub(leaf.NotBefore)/6, 14*24*time.Hour)
}

const (
	warnLook  = time.Hour      // how often certificates are looked at
	warnAgain = 24 * time.Hour // how often one is spoken of
)

// Warn says in the log, once a day of each, which of these certificates cannot be used at
// the time, or soon, until ctx ends.
func Warn(ctx context.Context, leaves func() []*x509.Certificate, log *slog.Logger) {
	w := warner{log: log}
	t := time.NewTicker(warnLook)
	defer t.Stop()
	for {
		w.look(leaves(), time.Now())
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// A warner remembers of whom it has spoken. One goroutine uses it.
type warner struct {
	log  *slog.Logger
	said map[string]time.Time // by the bytes of a certificate; of those that are there
}

// look is one look at all certificates.
func (w *warner) look(leaves []*x509.Certificate, now time.Time) {
	said := make(map[string]time.Time)
	for _, leaf := range leaves {
		at, before := w.said[string(leaf.Raw)]
		if !before || now.Sub(at) > warnAgain-warnLook/2 { // a look may come a little early
			if !warn(leaf, now, w.log) {
				continue
			}
			at = now
		}
		said[string(leaf.Raw)] = at
	}
	w.said = said
}

// warn says what is wrong with a certificate at a time, and reports whether anything is.
func warn(leaf *x509.Certificate, now time.Time, log *slog.Logger) bool {
	switch left := leaf.NotAfter.Sub(now); {
	case now.Before(leaf.NotBefore):
		log.Error("the certificate is not valid yet, clients refuse it", "names", leaf.DNSNames, "from", leaf.NotBefore)
	case left <= 0:
		log.Error("the certificate has expired, clients refuse it", "names", leaf.DNSNames, "until", leaf.NotAfter)
	case left < near(leaf):
		log.Warn("the certificate expires soon", "names", leaf.DNSNames, "until", leaf.NotAfter, "days", int(left.Hours()/24))
	default:
		return false
	}
	return true
}

// Doubts says what about these settings is not wise at a time, one line each: it reads the
// certificate, and is for who looks before the server starts. ports are those that speak
// TLS. A server that runs says of its certificates itself, see [Warn].
func (c *Config) Doubts(now time.Time, ports []int) (lines []string) {
	if c.Cert != "" && c.Key != "" {
		if pair, err := load(c.Cert, c.Key); err == nil { // otherwise it is a mistake, and said as one
			lines = append(lines, doubtful(pair.Leaf, now)...)
		}
	}
	if len(c.Domains) > 0 && c.HTTPPort != 80 && !slices.Contains(ports, 443) {
		lines = append(lines, "TLS_DOMAINS: the authority asks on port 443 or 80, and none of them is a port of these settings: right only if something in front leads one of them to a port that speaks TLS, or to ACME_HTTP_PORT")
	}
	return lines
}

func doubtful(leaf *x509.Certificate, now time.Time) []string {
	switch left := leaf.NotAfter.Sub(now); {
	case now.Before(leaf.NotBefore):
		return []string{fmt.Sprintf("TLS_CERT is not valid before %s: clients refuse it until then", leaf.NotBefore.UTC().Format(time.RFC3339))}
	case left <= 0:
		return []string{fmt.Sprintf("TLS_CERT expired at %s: clients refuse it", leaf.NotAfter.UTC().Format(time.RFC3339))}
	case left < near(leaf):
		return []string{fmt.Sprintf("TLS_CERT expires at %s: renew it", leaf.NotAfter.UTC().Format(time.RFC3339))}
	}
	return nil
}
