package commandline

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/server/doctor"
	"poosh/server/sends"
)

func trusting(roots *x509.CertPool) *tls.Config { return &tls.Config{RootCAs: roots} }

// socketIO gives a site of socket.io who sends events there, and who says what the server
// sees.
func (e *examination) socketIO(site *doctor.Config) error {
	site.Upstream = cmp.Or(e.near("CLIENT_PORT"), e.near("PUSH_SOCKET_PORT"), e.near("ECHO_PORT"))
	if e.isOpen("CLIENT_PORT") || e.isOpen("PUSH_SOCKET_PORT") {
		e.pageOf(site, "CLIENT_ORIGINS")
	}
	e.trusts(site)
	if err := e.operators(site); err != nil {
		return err
	}
	secret, _ := e.cfg.Value("SERVER_SECRET").(string)
	if secret == "" && !e.isOpen("PUSH_SOCKET_PORT") {
		return nil // it is that of a dialect with senders of its own
	}
	if secret == "" {
		site.Blind = append(site.Blind, doctor.NotLooked{What: "an event of socket.io", Why: "SERVER_SECRET is not set"})
		return nil
	}
	senders, err := e.line.whereBy(e.c, "senders", e.cfg, "SERVER_PORT")
	if err != nil {
		return err
	}
	senders.Path = strings.TrimSuffix(senders.Path, "/send") + "/send"
	p := &pooshSender{e.client("senders"), senders, secret}
	site.Send = p.send
	if e.c.IsSet("senders") {
		most := number(e.cfg.Value("MAX_BODY_BYTES"))
		site.SendLarge = func(ctx context.Context) error { return p.sendLarge(ctx, most) }
	}
	room, event := doctor.NewName(), doctor.NewName()
	site.Canaries = append(site.Canaries, doctor.Canary{
		Name: "socket.io", Event: event,
		At:     func() *url.URL { return (&socketIO{}).address(*e.at) },
		Listen: listenAs(&socketIO{rooms: []string{room}}),
		Send:   func(ctx context.Context) (int, error) { return p.send(ctx, room, event) },
	})
	return nil
}

// pageOf has a site be asked as pages are that may connect, where a setting names some.
func (e *examination) pageOf(site *doctor.Config, setting string) {
	if list, _ := e.cfg.Value(setting).([]string); site.Origin == "" && len(list) > 0 && !slices.Contains(list, "*") {
		site.Origin = list[0]
	}
}

// trusts has a site know whom the server takes for a proxy.
func (e *examination) trusts(site *doctor.Config) {
	site.Trusts = func(a netip.Addr) bool {
		return slices.ContainsFunc(e.cfg.Network.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(a) })
	}
}

// number is a size, a count or a time of the settings.
func number(value any) int {
	if v := reflect.ValueOf(value); v.CanInt() {
		return int(v.Int())
	}
	return 0
}

// operators gives a site who asks ADMIN_PORT where sessions are from.
func (e *examination) operators(site *doctor.Config) error {
	blind := func(why string) {
		site.Blind = append(site.Blind, doctor.NotLooked{What: "addresses of clients (X-Forwarded-For)", Why: why})
	}
	if !e.cfg.Admin.On() && !e.c.IsSet("admin") {
		blind("ADMIN_PORT is not set, where the server says what it sees")
		return nil
	}
	if e.cfg.Admin.Token == "" {
		blind("ADMIN_TOKEN is not set, without which the operators' port tells no addresses")
		return nil
	}
	at, err := e.line.whereBy(e.c, "admin", e.cfg, "ADMIN_PORT")
	if err != nil {
		return err
	}
	client := e.client("admin")
	site.Seen = func(ctx context.Context, session string) (string, error) {
		to := *at
		to.Path += "/api/connections/" + url.PathEscape(session)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, to.String(), nil)
		if err != nil {
			return "", err
		}
		req.Header.Set("Authorization", "Bearer "+e.cfg.Admin.Token)
		status, _, body, err := tell(client, req)
		if err != nil {
			return "", fmt.Errorf("%w; --admin names another address", err)
		}
		if status != http.StatusOK {
			return "", fmt.Errorf("the operators' port %s answers %s", at.Host, saidBy(status, body))
		}
		var found struct {
			Open []struct {
				Remote string `json:"remote"`
			} `json:"open"`
		}
		if err := json.Unmarshal(body, &found); err != nil || len(found.Open) == 0 {
			return "", fmt.Errorf("the server of %s does not know the session", at.Host)
		}
		return found.Open[0].Remote, nil
	}
	return nil
}

// tell sends a request and reads the answer, in the time that an answer may take.
func tell(client *http.Client, req *http.Request) (status int, header http.Header, body []byte, err error) {
	ctx, cancel := context.WithTimeout(req.Context(), patience)
	defer cancel()
	req = req.WithContext(ctx)
	req.Header.Set("User-Agent", agent)
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, nil, noAnswer(req.URL, err)
	}
	defer res.Body.Close()
	if body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer)); err != nil {
		return 0, nil, nil, noAnswer(req.URL, err)
	}
	return res.StatusCode, res.Header, body, nil
}

// A pooshSender sends events as senders of Poosh do.
type pooshSender struct {
	client *http.Client
	at     *url.URL
	secret string
}

func (p *pooshSender) post(ctx context.Context, body, payload string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.at.String(), bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	var signed []byte
	if payload != "" {
		signed = []byte(payload)
	}
	req.Header.Set("Authorization", auth.PooshSign(p.secret, signed))
	status, header, answer, err := tell(p.client, req)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%w; --senders names another address", err)
	case status == http.StatusUnauthorized:
		return 0, fmt.Errorf("%s, SERVER_SECRET: %w", p.at.Host, doctor.ErrSecret)
	case status == http.StatusRequestEntityTooLarge:
		return 0, fmt.Errorf("%s answers %s: %w", p.at.Host, saidBy(status, answer), doctor.ErrTooLarge)
	case status != http.StatusOK:
		return 0, fmt.Errorf("%s answers %s", p.at.Host, saidBy(status, answer))
	}
	if header.Get(sends.NodesHeader) != "" {
		return -1, nil // nobody counts over all nodes
	}
	delivered, err := strconv.Atoi(header.Get(sends.DeliveredHeader))
	if err != nil {
		return 0, fmt.Errorf("%s answers as no server of Poosh does", p.at.Host)
	}
	return delivered, nil
}

// send sends an event without a payload.
func (p *pooshSender) send(ctx context.Context, room, event string) (int, error) {
	return p.post(ctx, `{"room":`+jsonText(room)+`,"event":`+jsonText(event)+`}`, "")
}

// sendLarge sends an event whose body has so many bytes, to a room that nobody is in.
func (p *pooshSender) sendLarge(ctx context.Context, bytes int) error {
	head := `{"room":` + jsonText(doctor.NewName()) + `,"event":"poosh-doctor","payload":`
	payload := `"` + strings.Repeat("x", max(bytes-len(head)-3, 0)) + `"`
	_, err := p.post(ctx, head+payload+"}", payload)
	return err
}

// listenAs speaks a protocol until the connection breaks.
func listenAs(speak protocol) func(conn *websocket.Conn, up func(), heard func(event string)) error {
	return func(conn *websocket.Conn, up func(), heard func(event string)) error {
		w := &wire{conn: conn, up: up, note: func(string, ...any) {}}
		if first, ok := speak.(interface{ begin(*wire) error }); ok { // a protocol in which the client speaks first
			if err := first.begin(w); err != nil {
				return err
			}
		}
		for {
			_, text, err := conn.ReadMessage()
			if err != nil {
				return brokenWhy(err)
			}
			e, err := speak.message(w, text)
			if err != nil {
				return err
			}
			if e != nil {
				heard(e.Event)
			}
		}
	}
}
