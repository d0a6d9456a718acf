// Package validity says what a certificate is at a time: the one rule that the server's log,
// its check before the start and the doctor go by. It knows nothing of names and of who
// vouches for whom.
package validity

import (
	"crypto/x509"
	"time"
)

// A State is what a certificate is at a time.
type State int

// What a certificate may be.
const (
	Good    State = iota
	Early         // not valid yet: clients refuse it
	Expired       // clients refuse it
	Soon          // it should have been replaced already
)

// Of is what a certificate is at a time. It ends with the second that it names, which is
// good still (RFC 5280, 4.1.2.5).
func Of(leaf *x509.Certificate, now time.Time) State {
	switch left := leaf.NotAfter.Sub(now); {
	case now.Before(leaf.NotBefore):
		return Early
	case left < 0:
		return Expired
	case left < near(leaf):
		return Soon
	}
	return Good
}

// Days are the whole days that a certificate has left at a time.
func Days(leaf *x509.Certificate, now time.Time) int {
	return int(leaf.NotAfter.Sub(now).Hours() / 24)
}

// near is how much of its time a certificate has left when it should have been replaced: a
// sixth, and two weeks at the most. Those who renew by themselves do it at a third.
func near(leaf *x509.Certificate) time.Duration {
	return min(leaf.NotAfter.Sub(leaf.NotBefore)/6, 14*24*time.Hour)
}
