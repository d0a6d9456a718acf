package server

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// sendsFromTheForm sends in each dialect with the form of operators.
func (o *operator) sendsFromTheForm(t *testing.T) {
	t.Helper()
	var sent struct {
		Status    int
		ID        string
		Delivered *int
		Answer    json.RawMessage
	}
	for _, row := range []struct {
		body      string
		status    int // of the dialect
		delivered int // -1 where that is not told
		answer    string
	}{
		{`{"dialect":"socket.io","app":"poosh","secret":"` + testSecret + `","room":"news","event":"<e>","payload":{"a": "<é\u0041>", "n": 1.0e+25}}`, 200, 3, `"matched":3`},
		{`{"dialect":"socket.io","app":"poosh","secret":"` + testSecret + `","event":"e"}`, 200, 3, `"everyone":true`},
		{`{"dialect":"socket.io","app":"poosh","secret":"` + testSecret + `","room":"nobody","event":"e","payload":null}`, 200, 0, `"no_such_room"`},
		{`{"dialect":"socket.io","app":"poosh","secret":"` + testSecret + `","room":"news","event":"connect"}`, 400, -1, `"refused_name"`},
		{`{"dialect":"pusher","app":"1","secret":"` + pusherSecret + `","room":"news","event":"e","payload":"text"}`, 200, 1, `"matched":1`},
		{`{"dialect":"pusher","app":"1","secret":"` + pusherSecret + `","room":"bad channel","event":"e","payload":1}`, 400, -1, `"error"`},
		{`{"dialect":"socktopus","app":"demo","secret":"` + testSecret + `","room":"5","payload":"text"}`, 200, -1, `"succeeded":[{"recipient":"5","content":"text"}]`},
		{`{"dialect":"echo","app":"echo","secret":"` + testSecret + `-2","room":"orders","event":"App\\Events\\Paid","payload":{"n": 1.0}}`, 200, 0, `"nobody_there"`},
		{`{"dialect":"echo","app":"echo","secret":"` + testSecret + `-1","room":"orders","event":"disconnect","payload":1}`, 400, -1, `"refused_name"`},
		{`{"dialect":"echo","app":"echo","secret":"` + testSecret + `-1","room":"orders","event":"e","payload":null}`, 400, -1, `"error":"Event must include`},
	} {
		if status := o.ask(t, "POST", "/api/send", row.body, &sent); status != 200 || sent.Status != row.status || !strings.Contains(string(sent.Answer), row.answer) ||
			(sent.ID == "") != (row.status != 200) || (sent.Delivered == nil) != (row.delivered < 0) || sent.Delivered != nil && *sent.Delivered != row.delivered {
			t.Errorf("%s\n%d %+v %s", row.body, status, sent, sent.Answer)
		}
	}
	before := o.hub.Stats().Published
	for body, status := range map[string]int{
		`{"dialect":"socket.io","app":"poosh","secret":"thisisn'tthesecret","room":"news","event":"e"}`:          403,
		`{"dialect":"pusher","app":"1","secret":"thisisn'tthesecret","room":"news","event":"e","payload":""}`:    403,
		`{"dialect":"socktopus","app":"demo","secret":"thisisn'tthesecret","room":"5","payload":"text"}`:         403,
		`{"dialect":"socket.io","app":"poosh","secret":"","room":"news","event":"e"}`:                            400,
		`{"dialect":"socket.io","app":"poosh","room":"news","event":"e"}`:                                        400,
		`{"dialect":"socket.io","app":"1","secret":"x","room":"news","event":"e"}`:                               400,
		`{"dialect":"echo","app":"echo","secret":"thisisn'tthesecret","room":"orders","event":"e","payload":1}`:  403,
		`{"dialect":"echo","app":"echo","secret":"` + testSecret + `-1","event":"e","payload":1}`:                400,
		`{"dialect":"echo","app":"one","secret":"` + testSecret + `-1","room":"orders","event":"e","payload":1}`: 400,
		`{"dialect":"push socket","app":"pushsocket","secret":"x","room":"1","event":"e"}`:                       400,
		`{"dialect":"nothing","app":"1","secret":"x"}`:                                                           400,
		`{"dialect":"pusher","app":"2","secret":"x","room":"news","event":"e"}`:                                  400,
		`{"dialect":"pusher","app":"1","secret":"x","event":"e"}`:                                                400,
		`{"dialect":"socktopus","app":"demo","secret":"x","room":"5","event":"e","payload":"text"}`:              400,
		`{"dialect":"socktopus","app":"demo","secret":"x","room":"5","payload":7}`:                               400,
		`{"dialect":"socket.io","app":"poosh","secret":"` + testSecret + `","rooms":["news"],"event":"e"}`:       400,
		`{"dialect":"socket.io","app":"poosh","secret":"` + testSecret + `","room":"news","event":"e"} {}`:       400,
		`not JSON`:                       400,
		`"` + strings.Repeat("x", 2<<20): 413,
	} {
		if got := o.ask(t, "POST", "/api/send", body, nil); got != status {
			t.Errorf("%.100s: %d, want %d", body, got, status)
		}
	}
	if n := o.hub.Stats().Published; n != before {
		t.Errorf("%d were published without the secret", n-before)
	}
	req, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+o.Addrs()["ADMIN_PORT"].String()+"/api/send",
		strings.NewReader(`{"dialect":"socket.io","app":"poosh","secret":"`+testSecret+`","room":"news","event":"e"}`))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("operator", operatorsToken)
	req.Header.Set("Content-Type", "text/plain") // as a form of a page may send it
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	o.hold(t, "POST", "/api/send", res.StatusCode, text)
	if res.StatusCode != 415 {
		t.Errorf("a form that is no JSON: %s", res.Status)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}
