package certificate

import (
	"context"
	"crypto/x509"
	"log/slog"
	"time"
)

// near is how much of its time a certificate has left when it should have been replaced: a
// sixth, and two weeks at the most. Those who renew by themselves do it at a third.
func near(leaf *x509.Certificate) time.Duration {
	return min(leaf.NotAfter.Sub(leaf.NotBefore)/6, 14*24*time.Hour)
}

// Warn says in the log, once a day, which of these certificates end soon or have ended,
// until ctx ends.
func Warn(ctx context.Context, leaves func() []*x509.Certificate, log *slog.Logger) {
	for {
		for _, leaf := range leaves() {
			warn(leaf, time.Now(), log)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(24 * time.Hour):
		}
	}
}

func warn(leaf *x509.Certificate, now time.Time, log *slog.Logger) {
	switch left := leaf.NotAfter.Sub(now); {
	case left <= 0:
		log.Error("the certificate has expired, clients refuse it", "names", leaf.DNSNames, "until", leaf.NotAfter)
	case left < near(leaf):
		log.Warn("the certificate expires soon", "names", leaf.DNSNames, "until", leaf.NotAfter, "days", int(left.Hours()/24))
	}
}
