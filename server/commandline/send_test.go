package commandline

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Whether anybody took an event is known where one node has said so, whatever the others say; and where none has, and
// not all have spoken, it is not.
func TestRequireSubscriber(t *testing.T) {
	t.Setenv("SERVER_SECRET", "0123456789abcdef0123456789abcdef")
	for name, row := range map[string]struct {
		delivered, nodes, account string
		code                      int
		stdout, stderr            string
	}{
		"alone":                     {"1", "", `{"handed":1}`, OK, "sent x, 1 connection took it\n", ""},
		"alone, to nobody":          {"0", "", `{"handed":0}`, nobody, "sent x, nobody took it\n", "nobody took it"},
		"all nodes have said":       {"2", "3", `{"handed":2}`, OK, "sent x, 2 connections took it\n", ""},
		"one is silent":             {"", "3", `{"handed":2,"uncounted":true}`, OK, "sent x, to 3 nodes\n", ""},
		"one is silent, and nobody": {"", "1", `{"handed":0,"uncounted":true}`, Failed, "sent x, to 1 node\n", "not all of them have said who took it"},
	} {
		t.Run(name, func(t *testing.T) {
			site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Get("explain") != "1" {
					t.Error("it asks for no count")
				}
				w.Header().Set("X-Poosh-Id", "x")
				for header, value := range map[string]string{"X-Poosh-Delivered": row.delivered, "X-Poosh-Nodes": row.nodes} {
					if value != "" {
						w.Header().Set(header, value)
					}
				}
				_, _ = io.WriteString(w, row.account)
			}))
			defer site.Close()
			code, stdout, stderr := run("send", "--url", site.URL, "--require-subscriber", "e", "1")
			if code != row.code || stdout != row.stdout || !strings.Contains(stderr, row.stderr) || (stderr == "") != (row.stderr == "") {
				t.Errorf("%d %q %q", code, stdout, stderr)
			}
		})
	}
}
