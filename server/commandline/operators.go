package commandline

import (
	"context"
	"net/http"
	"net/url"

	"github.com/urfave/cli/v3"

	"poosh/server"
)

// An operator asks the operators' port of a server.
type operator struct {
	line   *line
	at     *url.URL
	token  string // empty for none
	client *http.Client
}

func (l *line) operator(c *cli.Command) (*operator, error) {
	cfg, err := l.settings()
	if err != nil {
		return nil, err
	}
	return l.operatorBy(c, cfg)
}

// operatorBy is operator for settings that are read already.
func (l *line) operatorBy(c *cli.Command, cfg *server.Config) (*operator, error) {
	at, err := l.where(c, cfg, "ADMIN_PORT")
	if err != nil {
		return nil, err
	}
	return &operator{line: l, at: at, token: cfg.Admin.Token, client: newClient(c)}, nil
}

// request makes a request for a path of the port.
func (o *operator) request(ctx context.Context, method, path string, query url.Values) (*http.Request, error) {
	at := *o.at
	at.Path += path
	at.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, method, at.String(), nil)
	if err != nil {
		return nil, o.line.fail(Failed, "%v", err)
	}
	if o.token != "" {
		req.Header.Set("Authorization", "Bearer "+o.token)
	}
	req.Header.Set("User-Agent", agent)
	return req, nil
}

// get asks for a path and returns the status and the body.
func (o *operator) get(ctx context.Context, path string) (status int, body []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := o.request(ctx, http.MethodGet, path, nil)
	if err != nil {
		return 0, nil, err
	}
	status, _, body, err = o.line.ask(o.client, req)
	return status, body, err
}

// refused says why the port does not do what it is asked for.
func (o *operator) refused(status int, answer []byte) error {
	switch status {
	case http.StatusUnauthorized:
		if o.token == "" {
			return o.line.fail(refused, "%s wants a token: set ADMIN_TOKEN to the server's", o.at.Host)
		}
		return o.line.fail(refused, "%s refuses the token: its ADMIN_TOKEN is another one than that here", o.at.Host)
	case http.StatusForbidden, http.StatusTooManyRequests:
		return o.line.fail(refused, "%s refuses: %s", o.at.Host, saidBy(status, answer))
	}
	return o.line.fail(Failed, "%s says %s", o.at.Host, saidBy(status, answer))
}
