//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"text/template"
	"time"

	"poosh/test/bench/load"
)

// proxied delivers to clients without and then with nginx in front, which speaks TLS
// to them.
func proxied(s *trial, w work) error {
	plain, _, err := s.deliverPaced(w, func() (time.Duration, error) { return 0, nil })
	if err != nil {
		return err
	}
	s.crowd.Close()
	proxy, err := startProxy(s.server.clients)
	if err != nil {
		return err
	}
	defer proxy.close()
	cfg := s.crowdConfig()
	cfg.Addr, cfg.TLS = proxy.process.clients, true
	crowd, err := load.NewCrowd(cfg)
	if err != nil {
		return err
	}
	s.crowd = crowd
	behind, spent, err := s.deliverPaced(w, proxy.process.cpuWithChildren)
	if err != nil {
		return fmt.Errorf("%w\nnginx: %s", err, proxy.process.printed())
	}
	s.record(metrics{
		"cpu us, plain":    plain["cpu us"],
		"cpu us":           behind["cpu us"],
		"cpu growth":       behind["cpu us"] / plain["cpu us"],
		"nginx us":         micros(spent[1]) / behind["deliveries"],
		"nginx us/connect": micros(spent[0]) / float64(w.clients),
		"p99 ms, plain":    plain["p99 ms"],
		"p99 ms":           behind["p99 ms"],
	})
	return nil
}

// deliverPaced connects clients and delivers to them. It also returns by how much a
// clock went on meanwhile, in the one and in the other.
func (s *trial) deliverPaced(w work, clock func() (time.Duration, error)) (m metrics, spent [2]time.Duration, err error) {
	steps := []func() error{
		func() (err error) {
			_, err = s.connect(w.clients)
			return err
		},
		func() (err error) {
			m, err = s.deliver(1, w.events, w.interval)
			return err
		},
	}
	for i, step := range steps {
		from, err := clock()
		if err != nil {
			return nil, spent, err
		}
		if err := step(); err != nil {
			return nil, spent, err
		}
		to, err := clock()
		if err != nil {
			return nil, spent, err
		}
		spent[i] = to - from
		if i == 0 {
			if _, err := s.deliver(1, 10, w.interval/4); err != nil {
				return nil, spent, err
			}
			if err := s.settle(time.Second); err != nil {
				return nil, spent, err
			}
		}
	}
	return m, spent, nil
}

// A proxy is a running nginx with its directory.
type proxy struct {
	process *process
	dir     string
}

func (p *proxy) close() {
	p.process.stop()
	_ = os.RemoveAll(p.dir)
}

// startProxy starts nginx on a port of its own, with a certificate that it signed
// itself, in front of the clients' port of a server.
func startProxy(backend netip.AddrPort) (*proxy, error) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		return nil, errors.New("nginx is not installed: apt-get install nginx-light, or leave out the works proxy and tls")
	}
	dir, err := os.MkdirTemp("", "bench-nginx-")
	if err != nil {
		return nil, err
	}
	p := &proxy{dir: dir}
	p.process, err = startProcess(func(p *process) ([]string, []string, error) {
		p.only, p.lastSignal = []netip.AddrPort{p.clients}, syscall.SIGTERM
		err := errors.Join(writeCertificate(dir), writeProxyConfig(dir, p.clients, backend))
		return []string{nginx, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"), "-e", "stderr"}, nil, err
	})
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return p, nil
}

// proxyConfig is Debian's configuration as a site has it that passes WebSockets on,
// with more connections than its 768.
var proxyConfig = template.Must(template.New("nginx.conf").Parse(`
worker_processes auto;
worker_rlimit_nofile 16384;
pid {{.Dir}}/nginx.pid;
daemon off;
error_log stderr;
events { worker_connections 8192; }
http {
	access_log off;
	client_body_temp_path {{.Dir}}/body;
	proxy_temp_path {{.Dir}}/proxy;
	fastcgi_temp_path {{.Dir}}/fastcgi;
	uwsgi_temp_path {{.Dir}}/uwsgi;
	scgi_temp_path {{.Dir}}/scgi;
	large_client_header_buffers 4 16k;
	server {
		listen {{.Listen}} ssl;
		ssl_certificate {{.Dir}}/certificate.pem;
		ssl_certificate_key {{.Dir}}/key.pem;
		ssl_protocols TLSv1.2 TLSv1.3;
		location / {
			proxy_pass http://{{.Backend}};
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade;
			proxy_set_header Connection "upgrade";
			proxy_set_header Host $http_host;
			proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
			proxy_set_header X-Forwarded-Proto $scheme;
			proxy_read_timeout 1h;
		}
	}
}
`))

func writeProxyConfig(dir string, listen, backend netip.AddrPort) error {
	f, err := os.Create(filepath.Join(dir, "nginx.conf"))
	if err != nil {
		return err
	}
	return errors.Join(proxyConfig.Execute(f, map[string]any{"Dir": dir, "Listen": listen, "Backend": backend}), f.Close())
}

// writeCertificate writes a certificate for this run and its key.
func writeCertificate(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	about := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, about, about, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "certificate.pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600),
		os.WriteFile(filepath.Join(dir, "key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
	)
}
