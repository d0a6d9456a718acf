package pushsocket

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestRates(t *testing.T) {
	t.Run("registrations", func(t *testing.T) {
		s := newSite(t, Config{Registrations: Rate{Limit: 2, Per: time.Hour}})
		p := s.registered("1", 1)
		// Who is refused for another reason does not use it up.
		if status, _, _ := p.request("POST", "/api/v1/key/initial", keysJSON(1)); status != 401 {
			t.Error(status)
		}
		s.registered("1", 1)
		status, answer, header := s.newPerson("1").request("POST", "/api/v1/key/initial", keysJSON(1))
		if n, _ := strconv.Atoi(header.Get("Retry-After")); status != 429 || n < 1700 || n > 1800 {
			t.Error(status, answer, header)
		}
		if r := p.mail(p.username, "x"); r.MessagesQueued != 1 {
			t.Errorf("%+v", r)
		}
		if n := s.dialect.Stats().Counts["refused: too many registrations"]; n != 1 {
			t.Errorf("counted %d", n)
		}
	})
	t.Run("requests", func(t *testing.T) {
		s := newSite(t, Config{Requests: Rate{Limit: 3, Per: time.Hour}, AuthTimeout: time.Hour})
		p := s.registered("1", 1)
		c := s.connect()
		c.authenticate(p.username, p.password())
		c.want(`42["authorized",null]`)
		p.mail(p.username, "x")
		if status, answer, header := p.request("GET", keyPath(p.key), ""); status != 429 || header.Get("Retry-After") == "" {
			t.Error(status, answer)
		}
		c.bodies("x")
		c.authenticate(p.username, p.password())
		if _, err := c.closed(); !strings.Contains(err.Error(), closedRate.String()) {
			t.Error(err)
		}
		counted := func() uint64 { return s.dialect.Stats().Counts["closed: "+closedRate.String()] }
		for end := time.Now().Add(patience); counted() == 0 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		}
		if n := counted(); n != 1 {
			t.Errorf("counted %d", n)
		}
	})
	t.Run("keys of one identity", func(t *testing.T) {
		s := newSite(t, Config{KeyFetches: Rate{Limit: 2, Per: time.Hour}})
		p, q, r := s.registered("1", 5), s.registered("1", 1), s.registered("1", 1)
		for i, want := range []int{200, 200, 429} {
			who := []*person{q, r, r}[i] // other identities of the same address are no way out
			if status, answer, _ := who.request("GET", keyPath(p.key), ""); status != want {
				t.Errorf("%d: %d %s", i, status, answer)
			}
		}
		if status, answer, _ := p.request("GET", keyPath(q.key), ""); status != 200 {
			t.Error(status, answer)
		}
		if n := s.dialect.Stats().Counts["refused: too many keys of one identity"]; n != 1 {
			t.Errorf("counted %d", n)
		}
	})
}
