// Package certificatetest makes certificates for tests, by an authority of their own. Only
// tests import it.
package certificatetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// An Authority vouches for certificates. Make one with [New].
type Authority struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	next int64
}

// New makes an authority.
func New(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, next: time.Now().UnixNano()}
	a.key = a.newKey()
	a.cert = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: "an authority of tests"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotAfter: time.Now().Add(24 * time.Hour),
	}, nil, a.key)
	return a
}

// Pool believes the authority.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// PEM is the authority's certificate.
func (a *Authority) PEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

// Issue makes a certificate for 127.0.0.1 and a name, and its key, both in PEM.
func (a *Authority) Issue(name string, notBefore, notAfter time.Time) (cert, key []byte) {
	a.t.Helper()
	own := a.newKey()
	leaf := a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore: notBefore, NotAfter: notAfter,
	}, a.cert, own)
	der, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		a.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Pair is Issue for a [tls.Config], good for a day.
func (a *Authority) Pair(name string) tls.Certificate {
	a.t.Helper()
	cert, err := tls.X509KeyPair(a.Issue(name, time.Time{}, time.Now().Add(24*time.Hour)))
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}

// Server is how a server shakes hands that has a certificate for a name.
func (a *Authority) Server(name string) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{a.Pair(name)}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}}
}

// Client is how a client does that believes the authority.
func (a *Authority) Client() *tls.Config {
	return &tls.Config{RootCAs: a.Pool(), ServerName: "127.0.0.1"}
}

// Hello is what a client begins a handshake with, the whole record.
func Hello(t testing.TB, cfg *tls.Config) []byte {
	t.Helper()
	client, server := net.Pipe()
	var shaking sync.WaitGroup
	shaking.Go(func() { // ends with server
		defer client.Close() // who has nothing to say is not waited for
		_ = tls.Client(client, cfg).Handshake()
	})
	defer shaking.Wait()
	defer server.Close()
	b := make([]byte, 5) // what a record begins with, its length at the end
	if _, err := io.ReadFull(server, b); err != nil {
		t.Fatal(err)
	}
	b = append(b, make([]byte, int(b[3])<<8|int(b[4]))...)
	if _, err := io.ReadFull(server, b[5:]); err != nil {
		t.Fatal(err)
	}
	return b
}

// Write puts a certificate for a name that is good for a day, its key and the authority's
// own into files of a directory, in place of what was there.
func (a *Authority) Write(dir, name string) (cert, key, authority string) {
	a.t.Helper()
	c, k := a.Issue(name, time.Time{}, time.Now().Add(24*time.Hour))
	return Put(a.t, filepath.Join(dir, "cert.pem"), c), Put(a.t, filepath.Join(dir, "key.pem"), k), Put(a.t, filepath.Join(dir, "authority.pem"), a.PEM())
}

// Put writes a file beside the one of that name and puts it in its place, as who renews
// certificates does: nobody reads half of it. It returns the path.
func Put(t testing.TB, path string, text []byte) string {
	t.Helper()
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	return path
}

func (a *Authority) newKey() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	return key
}

// sign makes a certificate; by itself without a parent.
func (a *Authority) sign(c, parent *x509.Certificate, own *ecdsa.PrivateKey) *x509.Certificate {
	a.next++
	c.SerialNumber = big.NewInt(a.next)
	if c.NotBefore.IsZero() {
		c.NotBefore = time.Now().Add(-time.Hour)
	}
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &own.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert
}
