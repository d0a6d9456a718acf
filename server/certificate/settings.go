// Package certificate has the certificates that the server shows on its own ports: from
// files, which are looked at again while it runs, or from an authority that speaks ACME
// (RFC 8555). It knows no connection: a handshake asks for a certificate, and is shown the
// newest.
package certificate

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"poosh/server/setting"
)

// A Config says where certificates come from. The zero Config has none, so that no port
// speaks TLS.
type Config struct {
	Cert, Key string // files with PEM blocks; the chain, its leaf first

	Domains  []string // that an authority is asked for certificates of
	CA       string   // its directory; empty for Let's Encrypt
	CARoot   string   // file with the authorities that vouch for CA; empty for the system's
	Email    string   // where it writes to
	Dir      string   // where accounts and certificates are kept
	HTTPPort int      // where HTTP-01 is answered; setting.AnyPort for nowhere

	// Every is how often is looked whether a certificate is to be renewed; 0 for every ten
	// minutes.
	Every time.Duration
	// Early is the part of a certificate's life, at its end, in which it is renewed; 0 for a
	// third.
	Early float64

	Senders  bool   // the port of senders alone speaks TLS too
	ClientCA string // file with the authorities of which every peer has to show a certificate

	// What was in the files when the settings were checked.
	found   *tls.Certificate  // of Cert and Key; nil without
	sum     sum               // of these
	clients [sha256.Size]byte // of ClientCA
	vouch   *x509.CertPool    // who is in there; nil without
	roots   [sha256.Size]byte // of CARoot
}

// SameClients reports whether the same authorities vouch for peers as in another
// configuration.
func (c *Config) SameClients(other *Config) bool {
	return (c.ClientCA == "") == (other.ClientCA == "") && c.clients == other.clients
}

// parts are what is in the files.
func (c *Config) parts() (list []setting.Part) {
	if c.found != nil {
		list = append(list, setting.Part{Setting: "TLS_CERT", Name: "TLS_CERT: the certificate in the file", Is: c.sum})
	}
	if c.ClientCA != "" {
		list = append(list, setting.Part{Setting: "TLS_CLIENT_CA", Name: "TLS_CLIENT_CA: what is in the file", Is: c.clients})
	}
	if c.CARoot != "" {
		list = append(list, setting.Part{Setting: "ACME_CA_ROOT", Name: "ACME_CA_ROOT: what is in the file", Is: c.roots})
	}
	return list
}

// On reports whether there are certificates at all.
func (c *Config) On() bool { return c.Cert != "" || len(c.Domains) > 0 }

// Settings describes the settings that fill c.
func (c *Config) Settings() *setting.Group {
	return &setting.Group{Title: "TLS", Check: c.check, Warn: c.warn, Parts: c.parts, Files: []setting.File{{Name: "TLS_KEY"}}, Settings: []setting.Setting{
		{Name: "TLS_CERT", Changes: setting.OnReloadSet, Help: "File with the certificate for clients' ports, in PEM, the leaf first and then those between it and the root; looked at again every few seconds. Needs TLS_KEY",
			Value: setting.Text(&c.Cert)},
		{Name: "TLS_KEY", Changes: setting.OnReloadSet, Help: "File with the key of TLS_CERT, in PEM, without a password",
			Value: setting.Text(&c.Key)},
		{Name: "TLS_DOMAINS", Help: "Names, with commas between, that certificates are got for by ACME, in place of TLS_CERT; the authority has to reach this server under each, on port 443 or 80",
			Value: setting.Of(&c.Domains, domains)},
		{Name: "ACME_CA", Help: "Directory of the authority, a URL; unset, Let's Encrypt, whose terms of use TLS_DOMAINS agrees to",
			Value: setting.Of(&c.CA, directory)},
		{Name: "ACME_CA_ROOT", Help: "File with the certificates, in PEM, that the directory's own is believed by; unset, those of the system",
			Value: setting.Text(&c.CARoot)},
		{Name: "ACME_EMAIL", Help: "Where the authority may write to",
			Value: setting.Text(&c.Email)},
		{Name: "ACME_DIR", Default: "acme", Help: "Directory that keeps the account, keys and certificates of ACME",
			Value: setting.Text(&c.Dir)},
		{Name: "ACME_HTTP_PORT", Default: "80", Help: "Port on which HTTP-01 is answered, while it is asked for alone; what comes to port 80 of the domains has to lead there. TLS-ALPN-01 is answered on every port that speaks TLS",
			Value: setting.Port(&c.HTTPPort)},
		{Name: "TLS_SENDERS", Default: "off", Help: "on has SERVER_PORT speak TLS too",
			Value: setting.Switch(&c.Senders)},
		{Name: "TLS_CLIENT_CA", Changes: setting.OnReloadSet, Help: "File with certificates of authorities, in PEM: every peer of a port that speaks TLS has to show a certificate of theirs; unset, nobody is asked for one",
			Value: setting.Text(&c.ClientCA)},
	}}
}

func (c *Config) check(m *setting.Mistakes) {
	need := func(name, value, with string) {
		if value == "" && !m.Has(name, with) {
			m.Add(name, "is not set: want it with %s", with)
		}
	}
	switch {
	case c.Cert != "" && len(c.Domains) > 0:
		m.Add("TLS_DOMAINS", "is set beside TLS_CERT: want one of them")
	case c.Cert != "":
		need("TLS_KEY", c.Key, "TLS_CERT")
	case c.Key != "":
		need("TLS_CERT", c.Cert, "TLS_KEY")
	}
	on := c.On() || c.Key != ""
	if c.Senders && !on {
		m.Add("TLS_SENDERS", "is on: want TLS_CERT and TLS_KEY, or TLS_DOMAINS, with it")
	}
	if c.ClientCA != "" && !on {
		m.Add("TLS_CLIENT_CA", "is set: want TLS_CERT and TLS_KEY, or TLS_DOMAINS, with it")
	}
	if c.Cert != "" && c.Key != "" {
		if err := c.find(); err != nil {
			m.Add("TLS_CERT", "is of no use: %v", err)
		}
	}
	for name, file := range map[string]string{"TLS_CLIENT_CA": c.ClientCA, "ACME_CA_ROOT": c.CARoot} {
		if file != "" {
			var in *x509.CertPool
			text, err := read(file)
			if err == nil {
				in, err = poolOf(file, text)
			}
			if err != nil {
				m.Add(name, "is of no use: %v", err)
			} else if name == "TLS_CLIENT_CA" {
				c.clients, c.vouch = sha256.Sum256(text), in
			} else {
				c.roots = sha256.Sum256(text)
			}
		}
	}
}

// domains reads names that an authority can be asked for.
func domains(text string) ([]string, error) {
	list := setting.Words(strings.ToLower(text))
	for i, name := range list {
		if strings.ContainsAny(name, "*:/ ") || strings.Trim(name, ".") != name || name == "" {
			return nil, errors.New("want host names such as push.example.com with commas between, without ports and wildcards")
		}
		if slices.Contains(list[:i], name) {
			return nil, errors.New("want each name once")
		}
	}
	return list, nil
}

// directory reads where an authority is.
func directory(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return "", errors.New("want a URL such as https://acme-v02.api.letsencrypt.org/directory")
	}
	return text, nil
}

// pool reads certificates of authorities.
func pool(file string) (*x509.CertPool, error) {
	text, err := read(file)
	if err != nil {
		return nil, err
	}
	return poolOf(file, text)
}

func poolOf(file string, text []byte) (*x509.CertPool, error) {
	p := x509.NewCertPool()
	if !p.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: want certificates in PEM", file)
	}
	return p, nil
}

// read reads a small file.
func read(file string) ([]byte, error) {
	const most = 1 << 20
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > most {
		return nil, fmt.Errorf("%s: want a file of up to 1 MiB", file)
	}
	return os.ReadFile(file)
}
