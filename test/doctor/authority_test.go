package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// An authority has a root, one between, and the certificates of servers that each have one
// thing wrong with them, as files of a directory: NAME.pem with the chain, NAME.key with the
// key, and NAME.both with both of them, as haproxy wants it.
type authority struct {
	t   *testing.T
	dir string
}

func (a *authority) file(name string) string { return filepath.Join(a.dir, name) }

// holdLua has haproxy keep each answer for a while, as what looks into them does.
const holdLua = `core.register_action("hold", {"http-res"}, function(txn) core.msleep(1500) end)
`

type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	ca := func(name string) *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	}
	root := a.sign(ca("root of tests"), nil)
	between := a.sign(ca("between of tests"), root)
	a.put("hold.lua", []byte(holdLua))
	a.put("root.pem", block("CERTIFICATE", root.cert.Raw))
	server := func(address string, from, to time.Duration) *x509.Certificate {
		return &x509.Certificate{Subject: pkix.Name{CommonName: "server"}, DNSNames: []string{"push.example.com"}, IPAddresses: []net.IP{net.ParseIP(address)},
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
			NotBefore: time.Now().Add(from), NotAfter: time.Now().Add(to)}
	}
	const day = 24 * time.Hour
	for name, c := range map[string]*x509.Certificate{
		"good": server("127.0.0.1", -day, 60*day), "expired": server("127.0.0.1", -60*day, -day), "soon": server("127.0.0.1", -60*day, 3*day),
		"other": server("127.0.0.9", -day, 60*day), "early": server("127.0.0.1", day, 60*day),
	} {
		a.chain(name, a.sign(c, between), between.cert)
	}
	a.chain("alone", a.sign(server("127.0.0.1", -day, 60*day), between))
	self := server("127.0.0.1", -day, 60*day)
	self.Subject.CommonName = "nobody knows me"
	a.chain("self", a.sign(self, nil))
	return a
}

func (a *authority) chain(name string, leaf *signer, more ...*x509.Certificate) {
	a.t.Helper()
	chain := block("CERTIFICATE", leaf.cert.Raw)
	for _, c := range more {
		chain = append(chain, block("CERTIFICATE", c.Raw)...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(leaf.key)
	if err != nil {
		a.t.Fatal(err)
	}
	key := block("PRIVATE KEY", der)
	a.put(name+".pem", chain)
	a.put(name+".key", key)
	a.put(name+".both", append(chain, key...))
}

func (a *authority) put(name string, text []byte) {
	a.t.Helper()
	if err := os.WriteFile(a.file(name), text, 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// sign makes a certificate; by itself without a parent.
func (a *authority) sign(c *x509.Certificate, by *signer) *signer {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if c.NotAfter.IsZero() {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour*24*365), time.Now().Add(time.Hour*24*365)
	}
	if c.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		a.t.Fatal(err)
	}
	parent, with := c, key
	if by != nil {
		parent, with = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, with)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return &signer{cert, key}
}
