package server

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"poosh/server/metric"
)

// pushDevice asks the Push Socket port as a device with a key of its own.
type pushDevice struct {
	url, username string
	private       ed25519.PrivateKey
}

func (d *pushDevice) ask(t *testing.T, method, path, body, origin string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, d.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	digits := strconv.FormatInt(time.Now().UnixMilli(), 10)
	req.SetBasicAuth(d.username, digits+"|"+base64.StdEncoding.EncodeToString(ed25519.Sign(d.private, []byte(digits))))
	if origin != "" {
		req.Header.Set("Origin", origin)
	}
	res, err := impatient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(answer)
}

// What the settings say reaches the dialect, the gate of all dialects is its own,
// and the status line has what it refused.
func TestPushSocketIsWired(t *testing.T) {
	r := run(t, map[string]string{
		"PUSH_SOCKET_PORT": "0", "PUSH_SOCKET_DB": filepath.Join(t.TempDir(), "x.db"), "PUSH_SOCKET_ORIGINS": "https://a.test",
		"PUSH_SOCKET_REGISTRATIONS": "1/1h", "PUSH_SOCKET_MAX_KEY_BYTES": "200",
	}, func(c *Config) { c.Network.BacklogBytes = -1 }) // more than that always waits
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	d := &pushDevice{"http://" + r.Addrs()["PUSH_SOCKET_PORT"].String(), base64.StdEncoding.EncodeToString(public) + "|1", private}
	message := fmt.Sprintf(`{"messages":[{"headers":[{"recipient":%q}],"body":"b"}]}`, d.username)
	large := `{"prekeys":[{"x":"` + strings.Repeat("x", 200) + `"}]}`
	for _, test := range []struct {
		method, path, body, origin string
		status                     int
	}{
		{"GET", "/", "", "https://b.test", 403},
		{"POST", "/api/v1/key/initial", `{"lastResortKey":{},"prekeys":[{}]}`, "https://a.test", 200},
		{"POST", "/api/v1/key/update", large, "", 413},
		{"POST", "/api/v1/message", `{"messages":[]}`, "", 200},
		{"POST", "/api/v1/message", message, "", 503},
	} {
		if status, answer := d.ask(t, test.method, test.path, test.body, test.origin); status != test.status {
			t.Errorf("%s: %d %s, want %d", test.path, status, answer, test.status)
		}
	}
	other, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	stranger := &pushDevice{d.url, base64.StdEncoding.EncodeToString(other) + "|1", private}
	if status, answer := stranger.ask(t, "POST", "/api/v1/key/initial", `{"lastResortKey":{},"prekeys":[{}]}`, ""); status != 429 {
		t.Error(status, answer)
	}
	if n := r.gate.Refused(); n != 1 {
		t.Errorf("the gate refused %d", n)
	}
	var line []string
	for _, d := range r.dialects {
		for _, value := range metric.Attrs(d.Metrics()) {
			line = append(line, fmt.Sprint(value))
		}
	}
	for _, want := range []string{"origin:1", "key too large:1", "too many registrations:1", "overloaded:1"} {
		if !strings.Contains(strings.Join(line, " "), want) {
			t.Errorf("%s\nlacks %s", line, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
	r.stop()
	if err := r.wait(t); err != nil {
		t.Error(err)
	}
}

// The error of a database that cannot be opened names the setting.
func TestPushSocketDatabaseError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "x.db")
	_, err := New(configured(t, map[string]string{"PUSH_SOCKET_PORT": "0", "PUSH_SOCKET_DB": path}), discard)
	if err == nil || !strings.HasPrefix(err.Error(), "PUSH_SOCKET_DB: ") || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "there is no directory") {
		t.Error(err)
	}
	if errors.Unwrap(err) == nil {
		t.Error("the error wraps none")
	}
}
