package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"poosh/server/certificate/validity"
)

// certificate looks at what is shown in a TLS handshake. It reports false when there is
// none.
func (x *exam) certificate(ctx context.Context) bool {
	x.progress("certificate")
	ctx, cancel := context.WithTimeout(ctx, oneStep)
	defer cancel()
	raw, err := x.dial(ctx, "", "")
	if err != nil {
		x.fault("tls", "the connection for TLS: "+lastWord(err))
		return false
	}
	defer raw.Close()
	c := tls.Client(raw, x.blind())
	if err := c.HandshakeContext(ctx); err != nil {
		x.fault("tls", "the handshake fails: "+err.Error())
		return false
	}
	before := len(x.report.Faults)
	for id, seen := range x.judge(c.ConnectionState().PeerCertificates, time.Now()) {
		x.fault(id, seen)
	}
	if len(x.report.Faults) == before {
		leaf := c.ConnectionState().PeerCertificates[0]
		x.good(fmt.Sprintf("certificate: good for %s, %s left", x.host, days(time.Until(leaf.NotAfter))))
	}
	return true
}

// blind is how TLS is spoken everywhere else: with whatever certificate there is, since
// that has been looked at, and other faults are to be found too. No secret is sent that
// way.
func (x *exam) blind() *tls.Config {
	return &tls.Config{ServerName: x.host, InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}
}

// judge yields what is wrong with a chain of certificates at a time.
func (x *exam) judge(chain []*x509.Certificate, now time.Time) func(yield func(id, seen string) bool) {
	return func(yield func(id, seen string) bool) {
		leaf := chain[0] // a handshake without one fails
		at, ok := now, true
		switch validity.Of(leaf, now) {
		case validity.Expired:
			ok = yield("certificate-expired", fmt.Sprintf("it ended at %s, %s ago", leaf.NotAfter.UTC().Format(time.RFC3339), days(now.Sub(leaf.NotAfter))))
			at = leaf.NotAfter.Add(-time.Second)
		case validity.Early:
			ok = yield("certificate-early", fmt.Sprintf("it begins at %s", leaf.NotBefore.UTC().Format(time.RFC3339)))
			at = leaf.NotBefore.Add(time.Second)
		case validity.Soon:
			ok = yield("certificate-soon", fmt.Sprintf("it ends at %s, in %s", leaf.NotAfter.UTC().Format(time.RFC3339), days(leaf.NotAfter.Sub(now))))
		}
		if !ok {
			return
		}
		if err := leaf.VerifyHostname(x.host); err != nil && !yield("certificate-name", fmt.Sprintf("it is for %s", named(leaf))) {
			return
		}
		if id, seen := x.trusted(chain, at); id != "" {
			yield(id, seen)
		}
	}
}

// trusted looks whether a chain leads to somebody who is believed.
func (x *exam) trusted(chain []*x509.Certificate, at time.Time) (id, seen string) {
	const most = 20 // a server may show as many as it likes, and each is looked at with each
	chain = chain[:min(len(chain), most)]
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: x.Roots, Intermediates: between, CurrentTime: at})
	var unknown x509.UnknownAuthorityError
	switch {
	case err == nil:
		return "", ""
	case !errors.As(err, &unknown):
		return "certificate-chain", fmt.Sprintf("the chain is refused: %v", err)
	}
	top := chain[0]
	for range chain {
		for _, c := range chain[1:] {
			if c != top && top.CheckSignatureFrom(c) == nil {
				top = c
				break
			}
		}
	}
	if top.CheckSignatureFrom(top) == nil || string(top.RawIssuer) == string(top.RawSubject) {
		return "certificate-untrusted", fmt.Sprintf("it leads to %q, which vouches for itself and is not known here", top.Subject.String())
	}
	return "certificate-chain", fmt.Sprintf("%d shown, of which the last that belongs to it is %q; what vouches for that, %q, is neither shown nor known here", len(chain), top.Subject.String(), top.Issuer.String())
}

// named is whom a certificate is for.
func named(c *x509.Certificate) string {
	list := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		list = append(list, ip.String())
	}
	const some = 5
	more := ""
	if len(list) > some {
		list, more = list[:some], " and more"
	}
	return fmt.Sprintf("%q%s", list, more)
}

func days(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
