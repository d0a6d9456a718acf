package loadtest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// A poller is a link over HTTP requests that wait (engine.io-protocol, "HTTP
// long-polling").
type poller struct {
	t     *Test
	ctx   context.Context
	end   context.CancelFunc
	at    string // the address, of the session once there is one
	quiet atomic.Int64
}

func newPoller(ctx context.Context, t *Test) *poller {
	p := &poller{t: t, at: t.cfg.entrance("polling").String()}
	p.ctx, p.end = context.WithCancel(ctx)
	p.quiet.Store(int64(t.cfg.Timeout))
	return p
}

func (p *poller) silence(d time.Duration) { p.quiet.Store(int64(d)) }

func (p *poller) close() { p.end() }

// ask sends a request and hands on what is answered.
func (p *poller) ask(method, body string, limit time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(p.ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, p.at, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header = p.t.cfg.header()
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "text/plain;charset=UTF-8")
	}
	res, err := p.t.polls.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, saidNo(res.StatusCode, res.Body)
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxMessage+1))
	if err == nil && len(answer) > maxMessage {
		err = errors.New("the server sends too much at once")
	}
	return answer, err
}

func (p *poller) send(text string) error {
	if p.t.cfg.Protocol == EIO3 {
		text = strconv.Itoa(units(text)) + ":" + text
	}
	_, err := p.ask(http.MethodPost, text, p.t.cfg.Timeout)
	return err
}

func (p *poller) receive(each func([]byte) error) error {
	for first := true; ; first = false {
		body, err := p.ask(http.MethodGet, "", time.Duration(p.quiet.Load()))
		if err != nil {
			return err
		}
		for len(body) > 0 {
			packet, rest, err := p.next(body)
			if err != nil {
				return err
			}
			body = rest
			if first && len(packet) > 0 && packet[0] == '0' {
				var open struct{ SID string }
				if json.Unmarshal(packet[1:], &open) != nil || open.SID == "" {
					return errors.New("the server's greeting is not understood")
				}
				p.at += "&sid=" + open.SID
			}
			if err := each(packet); err != nil {
				return err
			}
		}
	}
}

// next takes one packet off a payload: in Engine.IO 4 they have a record separator
// between them, in 3 each has its length before it.
func (p *poller) next(b []byte) (packet, rest []byte, err error) {
	if p.t.cfg.Protocol != EIO3 {
		packet, rest, _ = bytes.Cut(b, []byte{0x1e})
		return packet, rest, nil
	}
	length, rest, found := bytes.Cut(b, []byte(":"))
	n, err := strconv.Atoi(string(length))
	if !found || err != nil || n < 0 {
		return nil, nil, errors.New("the server sends a payload that is not understood")
	}
	size := 0
	for n > 0 && size < len(rest) {
		r, width := utf8.DecodeRune(rest[size:])
		size += width
		n--
		if r > 0xffff {
			n--
		}
	}
	if n > 0 {
		return nil, nil, errors.New("the server sends a payload that is cut short")
	}
	return rest[:size], rest[size:], nil
}

// units is how long JavaScript says that a text is.
func units(text string) (n int) {
	for _, r := range text {
		n++
		if r > 0xffff {
			n++
		}
	}
	return n
}
