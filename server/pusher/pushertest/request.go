package pushertest

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"poosh/auth"
)

// Quoted is a text as JSON has it.
func Quoted(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// Sign completes a request of the API.
func Sign(method, path string, query url.Values, body string) string {
	q := []string{"auth_key=" + Key, fmt.Sprintf("auth_timestamp=%d", time.Now().Unix()), "auth_version=1.0"}
	if body != "" {
		sum := md5.Sum([]byte(body))
		q = append(q, "body_md5="+hex.EncodeToString(sum[:]))
	}
	for k, v := range query {
		q = append(q, url.QueryEscape(k)+"="+url.QueryEscape(v[0]))
	}
	raw := strings.Join(q, "&")
	plain, _ := url.ParseQuery(raw)
	var keys []string
	for _, k := range []string{"auth_key", "auth_timestamp", "auth_version", "body_md5", "cursor", "direction", "end_serial", "end_time_ms", "explain", "extra", "filter_by_prefix", "info", "limit", "start_serial", "start_time_ms", "with_user_info"} {
		if plain.Has(k) {
			keys = append(keys, k+"="+plain.Get(k))
		}
	}
	unescaped, _ := url.PathUnescape(path)
	return path + "?" + raw + "&auth_signature=" + auth.PusherSign(Secret, method+"\n"+unescaped+"\n"+strings.Join(keys, "&"))
}

// Call sends a signed request and returns status and body.
func (s *Site) Call(method, path string, query url.Values, body string) (int, string) {
	s.T.Helper()
	status, text, _ := s.Raw(method, Sign(method, "/apps/"+ID+path, query, body), body)
	return status, text
}

// Raw sends a request as it stands.
func (s *Site) Raw(method, target, body string) (int, string, http.Header) {
	s.T.Helper()
	if s.Senders != nil {
		s = s.Senders
	}
	req, err := http.NewRequest(method, s.Server.URL+target, strings.NewReader(body))
	if err != nil {
		s.T.Fatal(err)
	}
	resp, err := s.Server.Client().Do(req)
	if err != nil {
		s.T.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.T.Fatal(err)
	}
	return resp.StatusCode, string(text), resp.Header
}

// Trigger publishes one event and expects it to be taken.
func (s *Site) Trigger(channel, event, data string) {
	s.T.Helper()
	status, text := s.Call("POST", "/events", nil, `{"name":`+Quoted(event)+`,"channel":`+Quoted(channel)+`,"data":`+Quoted(data)+`}`)
	if status != 200 || text != "{}" {
		s.T.Fatalf("%d %s", status, text)
	}
}
