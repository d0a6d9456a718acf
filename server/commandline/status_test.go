package commandline

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// A server that has only just begun is asked again, and what it says is all that is shown.
func TestState(t *testing.T) {
	for name, row := range map[string]struct {
		ready    int
		status   string
		overview []string // its answers; an empty one is 503
		text     string
		says     string
	}{
		"ready": {200, `{"status":"ok"}`, []string{"", `{"version":"v1\u001b[2J","connections":{"clients":{"open":3,"limit":9},"senders":{"open":1,"limit":2},
			"apps":[{"dialect":"pusher","app":"7","connected":3}]},"traffic":{"sends":{"total":5},"deliveries":{"total":6},"refused_deliveries":{"total":7}},
			"process":{"open_files":8,"open_files_limit":10},"waiting":{"outbox_bytes":11,"stuck_bytes":12,"limit_bytes":13},"refusals":[{"of":"sends","reason":"held back","total":14}],
			"closes":[{"dialect":"a","reason":"few","total":1},{"dialect":"b","reason":"many","total":2}],"newer":1}`}, `ready         yes
version       v1\u{1b}[2J
clients       3 connections of 9
              pusher 7: 3 connected
senders       1 connections of 2
events        5 published, 6 delivered, 7 refused by their clients' outboxes, 14 held back
waiting       11 bytes, 12 of them for clients that take nothing; at most 13 of each
open files    8 of 10
left          2 of b: many
              1 of a: few`, ""},
		"not ready, and nobody counts its files": {503, `{"status":"down","faults":[{"part":"hub","why":"is stuck"}]}`, []string{`{"draining":true}`}, `ready         no
              hub: is stuck
              it is shutting down
version       ` + `
clients       0 connections of 0
senders       0 connections of 0
events        0 published, 0 delivered, 0 refused by their clients' outboxes, 0 held back
waiting       0 bytes, 0 of them for clients that take nothing; at most 0 of each`, ""},
		"an older server": {200, `{"status":"ok"}`, []string{"404"}, "", " says 404"},
		"something else":  {200, `{"status":"ok"}`, []string{"[]"}, "", " answers what is not understood"},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/ready" {
					w.WriteHeader(row.ready)
					_, _ = io.WriteString(w, row.status)
					return
				}
				switch answer := row.overview[asked]; {
				case r.URL.Path != "/api/overview" || answer == "404":
					http.NotFound(w, r)
				case answer == "":
					w.WriteHeader(http.StatusServiceUnavailable)
				default:
					_, _ = io.WriteString(w, answer)
				}
				asked++
			}))
			defer site.Close()
			at, err := url.Parse(site.URL)
			if err != nil {
				t.Fatal(err)
			}
			var stderr bytes.Buffer
			o := &operator{line: &line{Program: Program{Stderr: &stderr}}, at: at, client: site.Client()}
			st, err := o.state(t.Context())
			if (err != nil) != (row.says != "") || !strings.Contains(stderr.String(), row.says) {
				t.Fatalf("%v, and it says %q, want %q", err, stderr.String(), row.says)
			}
			if err == nil && st.text(style{}) != row.text {
				t.Errorf("it shows\n%s\nwant\n%s", st.text(style{}), row.text)
			}
			if err == nil && asked != len(row.overview) {
				t.Errorf("it was asked %d times", asked)
			}
		})
	}
}
