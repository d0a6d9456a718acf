package server

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"poosh/server/dialect"
	"poosh/server/setting"
)

// askPatience is how long "poosh health" waits.
const askPatience = 3 * time.Second

// healthCommand asks a server that runs with the same settings whether it is ready: for
// supervisors of containers that have no other program in them.
func healthCommand() dialect.Command {
	return dialect.Command{
		Words: []string{"health"}, Arguments: "[--json] [URL]",
		Help:  "exit with 0 if the server of these settings is ready, or the one whose /ready is at URL; with 1 if not",
		Codes: "0 it is ready, 1 it is not, or does not answer, 2 misused",
		Run: func(args []string, stdout, stderr io.Writer) int {
			asJSON := len(args) > 0 && args[0] == "--json"
			if asJSON {
				args = args[1:]
			}
			if len(args) > 1 || len(args) == 1 && !strings.HasPrefix(args[0], "http://") && !strings.HasPrefix(args[0], "https://") {
				fmt.Fprintln(stderr, "poosh health: want no argument, or the URL of a /ready")
				return 2
			}
			ctx, cancel := context.WithTimeout(context.Background(), askPatience)
			defer cancel()
			answer, err := askHealth(ctx, args)
			if asJSON {
				return sayHealth(stdout, answer, err)
			}
			if err != nil {
				for line := range strings.Lines(err.Error()) {
					fmt.Fprintln(stderr, "poosh health:", strings.TrimSuffix(line, "\n"))
				}
				return 1
			}
			fmt.Fprintln(stdout, answer)
			return 0
		},
	}
}

// sayHealth prints an answer for programs, and returns the exit code.
func sayHealth(w io.Writer, answer string, err error) int {
	said := struct {
		Ready  bool   `json:"ready"`
		Answer string `json:"answer,omitempty"`
		Error  string `json:"error,omitempty"`
	}{Ready: err == nil, Answer: answer}
	if err != nil {
		said.Error = err.Error()
	}
	if json.NewEncoder(w).Encode(said) != nil || err != nil {
		return 1
	}
	return 0
}

func askHealth(ctx context.Context, args []string) (string, error) {
	if len(args) == 1 {
		return askReady(ctx, args[0], new(http.Transport))
	}
	cfg, err := Load()
	if err != nil {
		return "", err
	}
	where, probed, err := cfg.probe()
	switch {
	case err != nil:
		return "", err
	case probed && cfg.Admin.On() || probed && !cfg.TLS.On():
		return askReady(ctx, "http://"+where+"/ready", new(http.Transport))
	case probed && cfg.TLS.ClientCA == "":
		// Its certificate is for the names that clients know; this is about the address.
		return askReady(ctx, "https://"+where+"/ready", &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}})
	}
	// Dialects whose originals have no such path, and ports that want a certificate shown: that the port is open is all one can see.
	c, err := new(net.Dialer).DialContext(ctx, "tcp", where)
	if err != nil {
		return "", err
	}
	return where + " is listened on", c.Close()
}

// probe is where a server of this configuration is asked, and whether it has /ready
// there.
func (c *Config) probe() (where string, probed bool, err error) {
	if c.Admin.On() {
		where, err = near(c.Admin.Host, "ADMIN_PORT", c.Admin.Port)
		return where, true, err
	}
	var first *dialect.Port
	for _, d := range c.on() {
		for i := range d.Ports {
			p := &d.Ports[i]
			if p.Ready {
				where, err = near(c.Network.Host, p.Setting, *p.Number)
				return where, true, err
			}
			if first == nil {
				first = p
			}
		}
	}
	if first == nil {
		return "", false, errors.New("the settings turn nothing on")
	}
	where, err = near(c.Network.Host, first.Setting, *first.Number)
	return where, false, err
}

// near is where a port is reached from this machine.
func near(host, name string, port int) (string, error) {
	if port == setting.AnyPort {
		return "", fmt.Errorf("%s is 0, any free port: nobody but the server knows which; name the URL", name)
	}
	switch host {
	case "", "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return net.JoinHostPort(host, strconv.Itoa(port)), nil
}

// askReady returns what a /ready says, or why the server is not. The transport, which is
// used for nothing else, goes through no proxy: it is this machine.
func askReady(ctx context.Context, url string, transport *http.Transport) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("User-Agent", "poosh-health")
	defer transport.CloseIdleConnections()
	res, err := transport.RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(body))
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s says %s: %s", url, res.Status, text)
	}
	return text, nil
}
