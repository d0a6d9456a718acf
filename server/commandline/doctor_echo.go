package commandline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/gorilla/websocket"

	"poosh/server/doctor"
)

// laravelEchoes has a page with Laravel Echo be tried at the URL, where there is no other socket.io, or
// at the address of its flag, which is looked at as the URL is.
func (e *examination) laravelEchoes(first *doctor.Config) ([]doctor.Config, error) {
	at, err := e.clients("laravel-echo")
	if err != nil || !e.isOpen("ECHO_PORT") {
		return nil, err
	}
	switch {
	case at == nil && !e.isOpen("CLIENT_PORT") && !e.isOpen("PUSH_SOCKET_PORT"):
		e.laravelEcho(first, e.at)
		return nil, nil
	case at == nil:
		first.Blind = append(first.Blind, doctor.NotLooked{What: "an event of Laravel Echo", Why: "it has a port of its own: say --laravel-echo"})
		return nil, nil
	}
	site := e.base
	site.URL, site.Upstream, site.SocketIO = at, e.near("ECHO_PORT"), true
	if err := e.operators(&site); err != nil {
		return nil, err
	}
	e.trusts(&site)
	e.laravelEcho(&site, at)
	return []doctor.Config{site}, nil
}

// laravelEcho adds what there is to be looked at of the dialect to a site: its Redis, an event that the
// application would publish there, and the application's answer to a stranger.
func (e *examination) laravelEcho(site *doctor.Config, at *url.URL) {
	e.pageOf(site, "ECHO_ORIGINS")
	channel, event := doctor.NewName(), doctor.NewName()
	p := &published{e: e, setting: "ECHO_REDIS", channel: echoPrefix(e.cfg) + channel, came: make(chan struct{}, 1),
		payload: []byte(`{"event":` + jsonText(event) + `,"data":{"socket":null},"socket":null}`)}
	speak := &laravelEcho{channels: []string{channel}}
	site.Looks = append(site.Looks, e.redisLook("echo", "ECHO_REDIS"))
	site.Canaries = append(site.Canaries, doctor.Canary{
		Name: "Laravel Echo", Event: event,
		At:     func() *url.URL { return speak.address(*at) },
		Listen: p.heard(listenAs(speak)), Send: p.send,
	})
	const what = "the application of Laravel Echo"
	application, _ := e.cfg.Value("ECHO_AUTH_URL").(string)
	if application == "" {
		site.Blind = append(site.Blind, doctor.NotLooked{What: what, Why: "ECHO_AUTH_URL is not set, without which nobody gets into private and presence channels"})
		return
	}
	site.Looks = append(site.Looks, doctor.Look{What: what, Well: what + " lets no stranger into a presence channel",
		Do: func(ctx context.Context, connect func(*url.URL) (*websocket.Conn, error)) error {
			return e.stranger(ctx, connect, at, application)
		}})
}

// stranger subscribes to a presence channel that nobody has, as nobody: a channel of that kind says also
// when one is let in. What the server is told by the application it tells on.
func (e *examination) stranger(ctx context.Context, connect func(*url.URL) (*websocket.Conn, error), at *url.URL, application string) error {
	speak := &laravelEcho{channels: []string{presenceChannel + doctor.NewName()}}
	conn, err := connect(speak.address(*at))
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	in := false
	err = listenAs(speak)(conn, func() { in = true; conn.Close() }, func(string) {})
	switch {
	case in:
		return &doctor.Wrong{ID: "auth-open", Seen: "a client without a cookie and without any header is let into " + speak.channels[0]}
	case speak.refused == nil:
		return fmt.Errorf("the server does not say what the application answers: %w", err)
	}
	return e.judge(ctx, speak.refused.status, application)
}

// judge says what is wrong with an application that answers a stranger so.
func (e *examination) judge(ctx context.Context, status int, application string) error {
	wrong := func(format string, args ...any) error {
		return &doctor.Wrong{ID: "auth-endpoint", Seen: fmt.Sprintf(format, args...)}
	}
	switch {
	case status == 0:
		return wrong("the server gets no answer from ECHO_AUTH_URL")
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return fmt.Errorf("too much is asked at the moment: a subscription is answered %d", status)
	case status == http.StatusUnauthorized, status == statusExpired:
		return nil
	case status/100 == 3:
		return wrong("ECHO_AUTH_URL answers %d: a redirect, such as to a login or to https, is not followed", status)
	case status != http.StatusForbidden:
		return wrong("ECHO_AUTH_URL answers a stranger with %d %s", status, http.StatusText(status))
	}
	return e.forbids(ctx, application)
}

// statusExpired is what Laravel answers to a form without its token.
const statusExpired = 419

// forbids asks the application itself, as far as it can be reached from here: the server says 403 also
// for a login page.
func (e *examination) forbids(ctx context.Context, application string) error {
	form := url.Values{"channel_name": {presenceChannel + doctor.NewName()}}.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, application, strings.NewReader(form))
	if err != nil {
		return errors.New("ECHO_AUTH_URL is no address")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("X-Requested-With", "XMLHttpRequest")
	status, header, _, err := tell(clientFor(false), req)
	if err == nil && status/100 == 2 {
		return &doctor.Wrong{ID: "auth-endpoint", Seen: fmt.Sprintf("ECHO_AUTH_URL answers a stranger with %d and %s, which is no answer about a channel: a login page?", status, header.Get("Content-Type"))}
	}
	return nil
}
