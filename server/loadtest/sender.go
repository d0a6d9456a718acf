package loadtest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"poosh/auth"
)

// Event is what events are called that a server is sent over HTTP.
const Event = "bench"

// A sender takes events to the server. publish returns nil when the event was taken, an
// [answerError] when it was refused, and another error when nobody knows. It is for one
// goroutine, and waits no longer than the test's timeout.
type sender interface {
	publish(room int, src *source, n int, p Payload) error
}

// A poster publishes by HTTP.
type poster struct {
	t    *Test
	body []byte
}

func (s *poster) publish(room int, _ *source, _ int, p Payload) error {
	req := s.request(s.t.rooms[room].name, p)
	res, err := s.t.posts.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		return saidNo(res.StatusCode, res.Body)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(res.Body, maxMessage)) // so that the connection is kept
	return err
}

// request is one that publishes a payload, signed.
func (s *poster) request(room string, p Payload) *http.Request {
	cfg := &s.t.cfg
	b := s.body[:0]
	if cfg.Publish == ByPusher {
		b = append(b, `{"name":"`+Event+`","channel":`+quoted(room)+`,"data":"`...)
		b = append(b, bytes.ReplaceAll(p, []byte{'"'}, []byte(`\"`))...)
		b = append(b, `"}`...)
	} else {
		b = append(b, `{"room":`+quoted(room)+`,"event":"`+Event+`","payload":`...)
		b = append(append(b, p...), '}')
	}
	s.body = b
	at := cfg.API.at("/send", "")
	if cfg.Publish == ByPusher {
		at = cfg.API.at("/apps/"+cfg.App.ID+"/events", "")
		at.RawQuery = auth.SignPusherQuery(cfg.App.Key, cfg.App.Secret, http.MethodPost, at.EscapedPath(), b, time.Now())
	}
	req, err := http.NewRequestWithContext(s.t.posting, http.MethodPost, at.String(), bytes.NewReader(bytes.Clone(b))) // the transport may read on after its answer
	if err != nil {
		panic("loadtest: " + err.Error()) // of an address that was parsed
	}
	req.Header.Set("User-Agent", agent)
	req.Header.Set("Content-Type", "application/json")
	if cfg.Publish == BySend {
		req.Header.Set("Authorization", auth.PooshSign(cfg.Secret, p))
	}
	return req
}

// An emitter publishes as a client: one of its own, or those that get their own back.
type emitter struct {
	t   *Test
	own *client // nil where each client emits itself
}

func (s *emitter) publish(room int, src *source, n int, p Payload) error {
	t, c := s.t, s.own
	text := "42[" + quoted(t.cfg.Emit) + ","
	if c == nil {
		c = t.clients[room]
	} else {
		text += quoted(t.rooms[room].name) + ","
	}
	if c.link == nil {
		return errors.New("the client that emits has no connection")
	}
	if err := c.link.send(text + string(p) + "]"); err != nil {
		return err
	}
	if src == nil || t.cfg.Rate > 0 {
		return nil
	}
	// There is no answer. Flat out the next event goes when somebody has got this one.
	patience := time.NewTimer(t.cfg.Timeout)
	defer patience.Stop()
	for src.seen.Load() <= int64(n) {
		select {
		case <-src.came:
		case <-patience.C:
			return errSilent
		case <-t.deserted:
			return errSilent
		}
	}
	return nil
}

// A broadcaster publishes in a Redis, as Laravel's redis broadcaster does.
type broadcaster struct {
	t    *Test
	tell func(ctx context.Context, channel string, event []byte) error
	body []byte
}

func (s *broadcaster) publish(room int, _ *source, _ int, p Payload) error {
	s.body = append(append(append(s.body[:0], `{"event":"`+Event+`","data":`...), p...), `,"socket":null}`...)
	ctx, cancel := context.WithTimeout(s.t.posting, s.t.cfg.Timeout)
	defer cancel()
	return s.tell(ctx, s.t.rooms[room].name, s.body)
}

// newSender makes what a publisher sends with. Of one that emits it connects the client.
func (t *Test) newSender(ctx context.Context) (sender, error) {
	switch t.cfg.Publish {
	case ByEcho:
		return &emitter{t: t}, nil
	case ByRedis:
		tell, end := t.cfg.Redis()
		t.ends = append(t.ends, end)
		return &broadcaster{t: t, tell: tell}, nil
	case ByEmit:
		c := &client{test: t, idle: true, shard: &shard{}, ready: make(chan struct{})}
		if err := c.connect(ctx); err != nil {
			return nil, err
		}
		gone := make(chan error, 1)
		t.serving.Go(func() { // ends with the test's life
			gone <- c.serve(ctx)
		})
		select {
		case <-c.ready:
			return &emitter{t: t, own: c}, nil
		case err := <-gone:
			return nil, err
		case <-time.After(t.cfg.Timeout):
			return nil, errSilent
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return &poster{t: t}, nil
}
