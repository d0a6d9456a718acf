package form

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"poosh/server/dialect"
)

// of is a sender to one dialect, whose API answers as it is told.
func of(answer http.HandlerFunc) Sender {
	return Sender{
		"one": {
			Sign: func(f dialect.Form) (*dialect.Request, error) {
				if f.App != "app" {
					return nil, errors.New("app: there is none of this id")
				}
				return &dialect.Request{Port: "PORT", Method: "POST", Target: "/send?explain=1", Header: http.Header{"X-Secret": {f.Secret}}, Body: f.Payload}, nil
			},
			Serve: map[string]http.Handler{"PORT": answer},
		},
		"signs": {},
	}
}

func post(s Sender, kind, body string) (*httptest.ResponseRecorder, bool) {
	r := httptest.NewRequest("POST", "/api/send", strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	r.RemoteAddr = "192.0.2.7:99"
	w := httptest.NewRecorder()
	wrong := s.Serve(w, r)
	return w, wrong
}

const good = `{"dialect":"one","app":"app","secret":"s","room":"r","event":"e","payload":{"a": [1, 2]}}`

// The dialect's API is asked as a sender would ask it, from the operator's address, and
// what it says is what is told.
func TestServe(t *testing.T) {
	s := of(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if string(body) != `{"a":[1,2]}` || r.RemoteAddr != "192.0.2.7:99" || r.Header.Get("X-Secret") != "s" || r.URL.RawQuery != "explain=1" || r.ContentLength != int64(len(body)) {
			t.Errorf("%s from %s, %v", body, r.RemoteAddr, r)
		}
		w.Header().Set("X-Poosh-Id", "7")
		w.Header().Set("X-Poosh-Delivered", "3")
		w.WriteHeader(202)
		w.WriteHeader(500) // too late
		_, _ = io.WriteString(w, `{"handed":9}`)
	})
	if w, wrong := post(s, "application/json; charset=utf-8", good); wrong || w.Code != 200 || w.Body.String() != `{"status":202,"id":"7","delivered":3,"answer":{"handed":9}}` {
		t.Errorf("%v %d %s", wrong, w.Code, w.Body)
	}
	for said, want := range map[string]string{
		"":                               `"delivered":null,"answer":null}`,
		`{"handed":4}`:                   `"delivered":4,"answer":{"handed":4}}`,
		"no JSON \"":                     `"delivered":null,"answer":"no JSON \""}`,
		strings.Repeat("x", 2*maxAnswer): `xxx"}`,
	} {
		w, wrong := post(of(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, said) }), "application/json", good)
		if wrong || w.Code != 200 || !strings.HasSuffix(w.Body.String(), want) || w.Body.Len() > maxAnswer+200 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%.20s: %d %.200s", said, w.Code, w.Body)
		}
	}
}

// A wrong secret is told of to who slows down guessing, and nothing of the secret is said.
func TestWrongSecret(t *testing.T) {
	w, wrong := post(of(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }), "application/json", good)
	if !wrong || w.Code != 403 {
		t.Errorf("%v %d %s", wrong, w.Code, w.Body)
	}
}

// What is no good form asks nobody.
func TestBadForms(t *testing.T) {
	s := of(func(http.ResponseWriter, *http.Request) { t.Error("the dialect is asked") })
	for _, row := range []struct {
		kind, body string
		status     int
	}{
		{"text/plain", good, 415}, {"", good, 415}, {"application/x-www-form-urlencoded", good, 415}, {"application/jsonx", good, 415},
		{"application/json", `{`, 400}, {"application/json", `[]`, 400}, {"application/json", good + good, 400},
		{"application/json", strings.Replace(good, `"room"`, `"rooms"`, 1), 400},
		{"application/json", strings.Replace(good, `"s"`, `""`, 1), 400},
		{"application/json", strings.Replace(good, `"one"`, `"two"`, 1), 400},
		{"application/json", strings.Replace(good, `"one"`, `"signs"`, 1), 400},
		{"application/json", strings.Replace(good, `"app":"app"`, `"app":"b"`, 1), 400},
	} {
		if w, wrong := post(s, row.kind, row.body); w.Code != row.status || wrong {
			t.Errorf("%s %s: %d %s", row.kind, row.body, w.Code, w.Body)
		}
	}
}

// Who goes takes his request with him.
func TestOperatorWhoGoes(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := of(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	r := httptest.NewRequest("POST", "/api/send", strings.NewReader(good)).WithContext(ctx)
	r.Header.Set("Content-Type", "application/json")
	s.Serve(httptest.NewRecorder(), r) // returns
}
