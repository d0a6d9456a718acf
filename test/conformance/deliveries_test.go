package conformance_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"poosh/auth"
	"poosh/test/process"
)

// An audience is how one listens on a dialect and publishes to whoever listens.
type audience struct {
	target string // of the handshake, if not the dialect's
	join   string // what a listener says
	joined string // what a part of the answer is, if there is one
	// publish makes the request of an event whose text is pad.
	publish func(pad string) (url, authorization, body string)
}

func (d *dialect) audience() audience {
	switch d.name {
	case "socketio":
		return audience{join: `42["room","deliveries"]`, publish: func(pad string) (string, string, string) {
			return "/send", auth.PooshSign(pooshSecret, []byte(`"`+pad+`"`)), `{"room":"deliveries","event":"e","payload":"` + pad + `"}`
		}}
	case "pusher":
		return audience{
			join: `{"event":"pusher:subscribe","data":{"channel":"deliveries"}}`, joined: "subscription_succeeded",
			publish: func(pad string) (string, string, string) {
				body := `{"name":"e","channel":"deliveries","data":"` + pad + `"}`
				const path = "/apps/1/events"
				return path + "?" + auth.SignPusherQuery(pusherKey, pusherSecret, http.MethodPost, path, []byte(body), time.Now()), "", body
			}}
	}
	return audience{
		target: "/recieve?token=" + auth.NewSocktopus("MYAPP", socktopusSecret, "deliveries", time.Now()),
		join:   "PING", joined: "PONG",
		publish: func(pad string) (string, string, string) {
			return "/send", "", `{"secretName":"MYAPP","secret":"` + socktopusSecret + `","messages":[{"recipient":"deliveries","content":"` + pad + `"}]}`
		},
	}
}

// The server's own frames have the shortest form of their length, which peer.next
// looks at, and hold what was published.
func testDeliveries(t *testing.T, all []*dialect) {
	for _, d := range all {
		t.Run(d.name, func(t *testing.T) {
			a := d.audience()
			p := d.openAt(t, or(a.target, d.target))
			t.Parallel()
			p.send(join(text(a.join), ping("joined")))
			if a.joined != "" {
				p.hear("holds " + a.joined)
			}
			p.hear("pong joined")
			overhead := len(p.delivered(a, "x")) - 1
			for _, n := range []int{124, 125, 126, 127, 65534, 65535, 65536, 65537} {
				if got := p.delivered(a, pattern(n-overhead)); len(got) != n {
					t.Errorf("a message of %d bytes came, want %d", len(got), n)
				}
			}
			p.alive()
		})
	}
}

func or(target string, f func() string) string {
	if target != "" {
		return target
	}
	return f()
}

// delivered publishes a text and returns the message that brings it.
func (p *peer) delivered(a audience, pad string) string {
	p.t.Helper()
	url, authorization, body := a.publish(pad)
	scheme := "http://"
	if p.d.trusts != nil {
		scheme = "https://"
	}
	req, err := http.NewRequest(http.MethodPost, scheme+address(p.d.senders)+url, strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if authorization != "" {
		req.Header.Set("Authorization", authorization)
	}
	client := http.Client{Timeout: process.Patience, Transport: &http.Transport{TLSClientConfig: p.d.trusts, DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil || res.StatusCode != http.StatusOK {
		p.t.Fatalf("publishing: %s %.200q %v", res.Status, answer, err)
	}
	op, payload, err := p.next()
	if err != nil || op != opText || !strings.Contains(payload, pad) {
		p.t.Fatalf("after publishing: a frame of kind %d: %.200q, %v", op, payload, err)
	}
	return payload
}
