package certificate

import (
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"poosh/server/certificate/validity"
	"poosh/server/setting"
)

// warn tells of settings of which something will not work.
func (c *Config) warn() []string {
	if c.ClientCA != "" && len(c.Domains) > 0 && c.HTTPPort == setting.AnyPort {
		return []string{"TLS_CLIENT_CA is set, and ACME_HTTP_PORT is 0: an authority that asks with TLS-ALPN-01 has no certificate to show, so that none is got; want ACME_HTTP_PORT=80"}
	}
	return nil
}

// Expiring tells who asks before the start which certificates of files clients refuse at a
// time, or soon. A server that runs says so in its log, with [Warn].
func (c *Config) Expiring(now time.Time) []string {
	if c.Cert == "" || c.Key == "" {
		return nil
	}
	if c.found == nil && c.find() != nil {
		return nil // that is a mistake, see check
	}
	pair := c.found
	if what := trouble(pair.Leaf, now); what != "" {
		return []string{fmt.Sprintf("TLS_CERT is %s, whose certificate for %s %s: want a new one in its place", setting.Shown(c.Cert), strings.Join(pair.Leaf.DNSNames, ", "), what)}
	}
	return nil
}

// trouble says what is wrong with a certificate at a time; nothing if nothing is.
func trouble(leaf *x509.Certificate, now time.Time) string {
	const layout = "2006-01-02 15:04 MST"
	switch validity.Of(leaf, now) {
	case validity.Early:
		return "is valid from " + leaf.NotBefore.UTC().Format(layout) + " on, and clients refuse it now"
	case validity.Expired:
		return "ended at " + leaf.NotAfter.UTC().Format(layout) + ", and clients refuse it"
	case validity.Soon:
		return fmt.Sprintf("ends at %s, in %d days", leaf.NotAfter.UTC().Format(layout), validity.Days(leaf, now))
	}
	return ""
}
