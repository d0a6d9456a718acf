// Package doctor has poosh doctor look at servers behind the proxies of Debian: those that
// are set up well, and those that each do one thing wrong.
package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"poosh/server/doctor"
	"poosh/test/process"
)

var program string

func TestMain(m *testing.M) { os.Exit(process.Main(m, "doctor", true, &program)) }

// Secrets of the server; none may be printed, nor what is signed with one.
const (
	secret      = "hush-one-of-the-senders"
	appSecret   = "hush-two-of-the-app-1234"
	adminToken  = "hush-three-of-operators"
	octoSecret  = "hush-four-of-socktopus"
	keysToken   = "hush-five-of-key-servers"
	doctorComes = "127.0.0.2" // from there, so that it is not the proxy's address
)

// A station is two servers with the same settings, in front of which proxies stand. The
// doctor has the settings of the first.
type station struct {
	dir               string // with the first one's .env
	first, second     *process.Process
	pusher, socktopus int // ports of the first, as the next
	pushSocket        int
	pki               *authority
}

// startStation starts one; with a certificate its servers speak TLS.
func startStation(t *testing.T, certificate string) *station {
	t.Helper()
	s := &station{dir: t.TempDir(), pki: newAuthority(t)}
	begin := func() (*process.Process, []string) {
		s.pusher, s.socktopus, s.pushSocket = process.FreePort(t), process.FreePort(t), process.FreePort(t)
		env := []string{"SERVER_SECRET=" + secret, "PUSHER_APP_ID=1", "PUSHER_APP_KEY=key", "PUSHER_APP_SECRET=" + appSecret,
			"A_SOCKTOPUS_SECRET=" + octoSecret, "ADMIN_TOKEN=" + adminToken, "PING_INTERVAL=6s", "TRUSTED_PROXIES=127.0.0.1",
			"PUSHER_ACTIVITY_TIMEOUT=2s", "SHUTDOWN_TIMEOUT=2s", "MAX_CONNECTIONS=2000", "MAX_SENDER_CONNECTIONS=200",
			"PUSH_SOCKET_OPERATOR_TOKEN=" + keysToken, "PUSH_SOCKET_REGISTRATIONS=off",
			fmt.Sprint("PUSHER_PORT=", s.pusher), fmt.Sprint("SOCKTOPUS_PORT=", s.socktopus), fmt.Sprint("PUSH_SOCKET_PORT=", s.pushSocket),
			fmt.Sprint("SERVER_PORT=", process.FreePort(t)), fmt.Sprint("ADMIN_PORT=", process.FreePort(t))}
		if certificate != "" {
			env = append(env, "TLS_CERT="+s.pki.file(certificate+".pem"), "TLS_KEY="+s.pki.file(certificate+".key"))
		}
		return process.Start(t, program, "CLIENT_PORT", env...), env
	}
	s.second, _ = begin()
	var env []string
	s.first, env = begin()
	env = append(env, fmt.Sprint("CLIENT_PORT=", s.first.Port), "HOST=127.0.0.1")
	if err := os.WriteFile(filepath.Join(s.dir, ".env"), []byte(strings.Join(env, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// doctor has the doctor look, and returns the reports and the exit code.
func (s *station) doctor(args ...string) ([]doctor.Report, int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	args = append([]string{"doctor", "--json", "--source", doctorComes, "--ca", s.pki.file("root.pem"), "--patience", "10s"}, args...)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = s.dir, []string{"PATH=" + os.Getenv("PATH")}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	code := cmd.ProcessState.ExitCode()
	if !errors.As(err, new(*exec.ExitError)) && err != nil {
		return nil, code, err
	}
	said := out.String() + errs.String()
	for _, no := range []string{secret, appSecret, adminToken, octoSecret, keysToken, redisPassword, "token="} {
		if strings.Contains(said, no) {
			return nil, code, fmt.Errorf("a secret is printed:\n%s", said)
		}
	}
	if errs.Len() > 0 {
		return nil, code, fmt.Errorf("exit code %d, standard error:\n%s", code, errs.String())
	}
	var reports []doctor.Report
	for dec := json.NewDecoder(&out); dec.More(); {
		var r doctor.Report
		if err := dec.Decode(&r); err != nil {
			return nil, code, err
		}
		reports = append(reports, r)
	}
	return reports, code, nil
}

// finds is doctor for who knows what is wrong: the ids of the faults, and nothing else.
func (s *station) finds(want []string, args ...string) (all []doctor.Fault, err error) {
	reports, code, err := s.doctor(args...)
	if err != nil {
		return nil, err
	}
	var ids []string
	var seen strings.Builder
	for _, r := range reports {
		for _, f := range r.Faults {
			ids = append(ids, f.ID)
			fmt.Fprintf(&seen, "\n\t%s: %s", f.ID, f.Seen)
			all = append(all, f)
		}
		for _, n := range r.NotLooked {
			fmt.Fprintf(&seen, "\n\tnot looked: %s: %s", n.What, n.Why)
		}
	}
	wantCode := 0
	switch {
	case slices.Contains(want, "name-unknown"), slices.Contains(want, "unreachable"):
		wantCode = 4 // nothing answers there
	case len(want) > 0:
		wantCode = 1
	}
	slices.Sort(ids)
	slices.Sort(want)
	if len(reports) == 0 || !slices.Equal(ids, want) || code != wantCode {
		return nil, fmt.Errorf("it names %q with exit code %d, want %q with %d:%s", ids, code, want, wantCode, seen.String())
	}
	return all, nil
}

// anywhere starts a proxy on a port that is free: somebody may take one in between.
func anywhere(t *testing.T, start func(port int) (*proxy, error)) (p *proxy, port int, err error) {
	for range 5 {
		port = process.FreePort(t)
		if p, err = start(port); err == nil || !strings.Contains(strings.ToLower(err.Error()), "address already in use") {
			break
		}
	}
	return p, port, err
}

// A proxy is one that runs.
type proxy struct {
	cmd  *exec.Cmd
	out  bytes.Buffer
	done chan struct{}
}

// packages have the proxies' programs.
var packages = map[string]string{"nginx": "nginx-light", "haproxy": "haproxy", "caddy": "caddy", "apache2": "apache2"}

func missing(name string) error {
	return fmt.Errorf("%s is missing; on Debian: apt-get install -y --no-install-recommends %s", name, packages[name])
}

// run starts a proxy and waits until it listens on ports.
func run(dir string, ports []int, name string, args ...string) (*proxy, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, missing(name)
	}
	p := &proxy{cmd: exec.Command(path, args...), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, &p.out, &p.out
	p.cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // its workers end with it
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { // ends with the proxy
		_ = p.cmd.Wait()
		close(p.done)
	}()
	for end := time.Now().Add(process.Patience); len(ports) > 0; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", fmt.Sprint("127.0.0.1:", ports[0]))
		if err == nil {
			c.Close()
			ports = ports[1:]
			continue
		}
		select {
		case <-p.done:
			return nil, fmt.Errorf("%s ended:\n%s", name, p.out.String())
		default:
		}
		if time.Now().After(end) {
			p.stop()
			return nil, fmt.Errorf("%s does not listen:\n%s", name, p.out.String())
		}
	}
	return p, nil
}

func (p *proxy) stop() {
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.done
}
