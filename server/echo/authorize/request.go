package authorize

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"poosh/server/excerpt"
)

// CheckURL says what is wrong with an address to ask, without what may be a secret in it.
func CheckURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" || u.Fragment != "" || strings.Contains(text, "#") {
		return errors.New("want an http or https address such as https://example.com/broadcasting/auth")
	}
	return nil
}

// Shown is an address without what may be a secret in it.
func Shown(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return "an address that is none"
	}
	return u.Scheme + "://" + u.Host + u.Path
}

// newClient returns a client that keeps so many connections open, follows no redirect, decompresses
// nothing and has no cookies of its own. Times are the requests', and how many there are is the
// queue's, which another setting may change.
func newClient(running int) *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns = running
	transport.MaxIdleConnsPerHost = running
	transport.DisableCompression = true
	transport.MaxResponseHeaderBytes = 64 << 10
	transport.IdleConnTimeout = 30 * time.Second
	return &http.Client{
		Transport: transport,
		// Headers and cookies of a page are for the address that was set, and for no other.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// post asks the application.
func (a *Asker) post(ctx context.Context, in *inquiry) Answer {
	status, body, err := a.exchange(ctx, in)
	got := Answer{Status: status}
	switch {
	case err != nil:
		got.Reason = unreachable
		if ctx.Err() != nil || isTimeout(err) {
			got.Reason = silent
		}
		got.Status = got.Reason.status()
	default:
		got.Reason, got.Member = judge(status, body, in)
		got.Allowed = got.Reason == allowed
		if status/100 == 2 && !got.Allowed {
			got.Status = got.Reason.status()
		}
	}
	if a.wanted(in) {
		a.doubts.add(got.Reason, detail(in, status, err))
	}
	return got
}

// wanted reports whether somebody still waits for the answer.
func (a *Asker) wanted(in *inquiry) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !in.over && !a.over
}

func isTimeout(err error) bool {
	var of interface{ Timeout() bool }
	return errors.As(err, &of) && of.Timeout()
}

// detail is what the log has of one answer: nothing that is a secret.
func detail(in *inquiry, status int, err error) string {
	var withAddress *url.Error
	if errors.As(err, &withAddress) {
		err = withAddress.Err // the address may hold a secret
	}
	text := "POST " + Shown(in.conf.URL) + ", channel " + shown(in.Channel)
	if err != nil {
		return text + ": " + err.Error()
	}
	return text + ": status " + strconv.Itoa(status)
}

// longestShown bounds what the log has of a name, in bytes.
const longestShown = 100

func shown(name string) string { return strconv.QuoteToASCII(excerpt.Of(name, longestShown)) }

// exchange makes the request. The body is nil where it is larger than may be.
func (a *Asker) exchange(ctx context.Context, in *inquiry) (status int, body []byte, err error) {
	form := "channel_name=" + url.QueryEscape(in.Channel) + "&socket_id=" + url.QueryEscape(in.SocketID)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, in.conf.URL, strings.NewReader(form))
	if err != nil {
		return 0, nil, err
	}
	in.head(req.Header)
	resp, err := a.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(resp.Body, int64(in.conf.MaxAnswer)+1))
	switch {
	case resp.StatusCode/100 != 2:
		return resp.StatusCode, nil, nil // whatever came of the body
	case err != nil:
		return 0, nil, err
	case len(body) > in.conf.MaxAnswer:
		return resp.StatusCode, nil, nil
	case body == nil:
		body = []byte{}
	}
	return resp.StatusCode, body, nil
}

// head writes the headers of a request: the page's that may go on, in the order of their
// names so that of two that are spelled differently the same one counts each time, and then
// ours.
func (in *inquiry) head(h http.Header) {
	for _, name := range slices.Sorted(maps.Keys(in.Headers)) {
		if Forwards(name) {
			h.Set(name, in.Headers[name])
		}
	}
	if in.Cookie != "" {
		h.Set("Cookie", in.Cookie)
	}
	h.Set("Content-Type", "application/x-www-form-urlencoded")
	h.Set("X-Requested-With", "XMLHttpRequest")
	// Not sent: it says that the request may be made again on another connection, when the
	// application has just closed one that was kept open.
	h["Idempotency-Key"] = []string{}
}
