package doctor

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"poosh/test/process"
)

// text is what the doctor prints for people, and the exit code.
func text(t *testing.T, dir string, args ...string) (out, errs string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, append([]string{"doctor"}, args...)...)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH")}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // the exit code tells
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

func TestCommand(t *testing.T) {
	empty := t.TempDir() // without settings
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<h1>\x1b[31mWelcome</h1>") }))
	defer page.Close()
	nowhere := fmt.Sprint("http://127.0.0.1:", process.FreePort(t))
	for _, row := range []struct {
		name string
		args []string
		code int
		out  []string
		not  []string
	}{
		{"no address", nil, 2, []string{"want URL"}, nil},
		{"no such scheme", []string{"ftp://127.0.0.1"}, 2, []string{"is no address"}, nil},
		{"a password", []string{"http://a:hush-hush@127.0.0.1"}, 2, []string{"has a user in it"}, []string{"hush-hush"}},
		{"no such proxy", []string{"--proxy", "squid", nowhere}, 2, []string{"--proxy"}, nil},
		{"no patience", []string{"--patience", "1ms", nowhere}, 2, []string{"--patience"}, nil},
		{"nobody there", []string{nowhere}, 4, []string{"fault  unreachable", "connection refused"}, nil},
		{"a page", []string{page.URL}, 1, []string{"other-content", "proxy_pass http://127.0.0.1:8000;", "ProxyPass", "reverse_proxy", "server poosh", "there are no settings here"}, []string{"\x1b"}},
		{"a page behind nginx", []string{"--proxy", "nginx", page.URL}, 1, []string{"proxy_pass"}, []string{"ProxyPass", "reverse_proxy"}},
	} {
		out, errs, code := text(t, empty, row.args...)
		if code != row.code {
			t.Errorf("%s: exit code %d, want %d", row.name, code, row.code)
		}
		for _, want := range row.out {
			if !strings.Contains(out+errs, want) {
				t.Errorf("%s: no %q in\n%s%s", row.name, want, out, errs)
			}
		}
		if i := slices.IndexFunc(row.not, func(no string) bool { return strings.Contains(out+errs, no) }); i >= 0 {
			t.Errorf("%s: %q in\n%s%s", row.name, row.not[i], out, errs)
		}
	}
}

// Where a WebSocket is led to is told without the token that it was asked for with.
func TestRedirectedSocktopus(t *testing.T) {
	s := startStation(t, "")
	p, port, err := anywhere(t, func(port int) (*proxy, error) {
		l := newLayout(s, "nginx", "")
		l.add("server", "return 301 https://push.example.com$request_uri;")
		return l.start(t.TempDir(), port)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	faults, err := s.finds([]string{"redirect"}, "--socktopus", fmt.Sprint("http://127.0.0.1:", port), s.first.URL())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(faults[0].Seen, "to https://push.example.com/recieve") {
		t.Errorf("%q", faults[0].Seen)
	}
}
