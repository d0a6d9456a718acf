package certificate

import (
	"context"
	"crypto/x509"
	"log/slog"
	"time"

	"poosh/server/certificate/validity"
)

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
	switch validity.Of(leaf, now) {
	case validity.Early:
		log.Error("the certificate is not valid yet, clients refuse it", "names", leaf.DNSNames, "from", leaf.NotBefore)
	case validity.Expired:
		log.Error("the certificate has expired, clients refuse it", "names", leaf.DNSNames, "until", leaf.NotAfter)
	case validity.Soon:
		log.Warn("the certificate expires soon", "names", leaf.DNSNames, "until", leaf.NotAfter, "days", validity.Days(leaf, now))
	default:
		return false
	}
	return true
}
