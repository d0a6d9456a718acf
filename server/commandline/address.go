package commandline

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/urfave/cli/v3"

	"poosh/server"
)

// patience is how long a server may take for one answer, unless the command says
// otherwise.
const patience = 10 * time.Second

// settings are those that a server started here would have.
func (l *line) settings() (*server.Config, error) {
	cfg, err := server.Load()
	if err != nil {
		return nil, l.fail(Failed, "%v", err)
	}
	return cfg, nil
}

// urlFlag names another server than that of the settings.
func urlFlag(setting, example string) cli.Flag {
	return &cli.StringFlag{Name: "url", Usage: "the server's address, such as " + example + ", in place of " + setting + " of this machine"}
}

// where is the address of a server: what --url says, or the port of a setting on this
// machine. It has no path.
func (l *line) where(c *cli.Command, cfg *server.Config, setting string) (*url.URL, error) {
	return l.whereBy(c, "url", cfg, setting)
}

// whereBy is where for a flag of another name.
func (l *line) whereBy(c *cli.Command, flag string, cfg *server.Config, setting string) (*url.URL, error) {
	text := c.String(flag)
	if text == "" {
		host, err := cfg.Near(setting)
		if err != nil {
			return nil, l.fail(Failed, "%v", err)
		}
		return &url.URL{Scheme: cfg.Scheme(setting), Host: host}, nil
	}
	return l.address(c, "--"+flag, text)
}

// address reads the address of a server; what names where it stands.
func (l *line) address(c *cli.Command, what, text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Host == "", u.Scheme != "http" && u.Scheme != "https", u.RawQuery != "", u.Fragment != "":
		return nil, l.misused(c, "%s is no address: want one such as https://push.example.com", what)
	case u.User != nil:
		return nil, l.misused(c, "%s has a user in it, which nobody is asked for: want an address such as https://push.example.com", what)
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

// newClient returns what asks a server. There is no proxy to this machine, and nothing is
// sent on to where an answer points: a secret stays where it was meant to go.
func newClient(c *cli.Command) *http.Client { return clientFor(c.String("url") != "") }

// clientFor is newClient for a server that is elsewhere, or that of this machine's settings.
func clientFor(elsewhere bool) *http.Client {
	transport := &http.Transport{TLSHandshakeTimeout: patience, ResponseHeaderTimeout: patience, DisableKeepAlives: true}
	if elsewhere {
		transport.Proxy = http.ProxyFromEnvironment
	} else {
		transport.TLSClientConfig = thisMachine()
	}
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// thisMachine is how a server of this machine's settings is spoken to over TLS: at an
// address that its certificate, which is for names that clients know, says nothing of.
func thisMachine() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// agent is how commands name themselves.
const agent = "poosh-command"

// maxAnswer bounds an answer that is read whole, in bytes.
const maxAnswer = 32 << 20

// ask sends a request and reads the answer. That there is none is said, and ends the
// command.
func (l *line) ask(client *http.Client, req *http.Request) (status int, header http.Header, body []byte, err error) {
	req.Header.Set("User-Agent", agent)
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, nil, l.fail(unreachable, "%v", noAnswer(req.URL, err))
	}
	defer res.Body.Close()
	body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return 0, nil, nil, l.fail(unreachable, "%v", noAnswer(req.URL, err))
	}
	return res.StatusCode, res.Header, body, nil
}

// noAnswer says why there was none, without what else is in the address.
func noAnswer(at *url.URL, err error) error {
	var asking *url.Error
	if errors.As(err, &asking) {
		err = asking.Err
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		err = errors.New("it did not answer in time")
	}
	return fmt.Errorf("no answer from %s: %w", at.Host, err)
}
