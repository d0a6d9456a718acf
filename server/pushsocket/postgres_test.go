package pushsocket

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"poosh/server/pushsocket/store"
	"poosh/server/pushsocket/store/postgrestest"
)

// Two processes share a database: a device gets what the other one stored when its mailbox
// is looked at, in order and once, and what its own process stored at once.
func TestTwoProcessesShareAStore(t *testing.T) {
	db := postgrestest.Shared(t).Schema(t)
	one := newSite(t, Config{DB: db, LookEvery: 200 * time.Millisecond})
	two := newSite(t, Config{DB: db, LookEvery: 200 * time.Millisecond})
	p := one.registered("1", 1)
	c := p.authorized()
	there := *p
	there.site = two
	if r := there.mail(p.username, "a", "b"); r.MessagesQueued != 2 {
		t.Fatalf("%+v", r)
	}
	ids := c.bodies("a", "b")
	c.received(ids[0])
	c.received(ids[1])
	if r := p.mail(p.username, "c"); r.MessagesQueued != 1 {
		t.Fatalf("%+v", r)
	}
	c.received(c.bodies("c")[0])
	one.stored(0)
}

// While the database is away a sender is told so, and who is connected stays; when it is
// back, all goes on and everything that was accepted comes.
func TestDatabaseIsAwayAndBack(t *testing.T) {
	server := postgrestest.Start(t, "fsync=off") // the machine stays
	// None that is answered 503 may be stored.
	s := newSite(t, Config{DB: server.Schema(t), LookEvery: 200 * time.Millisecond, StoreTimeout: patience})
	p := s.registered("1", 1)
	c := p.authorized()
	p.mail(p.username, "before")
	id := c.bodies("before")[0]
	server.Kill(t)
	body := `{"messages":[{"headers":[{"recipient":` + quote(p.username) + `,"messageHeader":"h"}],"body":"refused"}]}`
	status, answer, header := p.request("POST", "/api/v1/message/", body)
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || strings.Contains(answer, "postgres") || strings.Contains(answer, postgrestest.Password) {
		t.Errorf("%d %s", status, answer)
	}
	if err := s.dialect.store.Ready(t.Context()); err == nil {
		t.Error("ready without a database")
	}
	server.Restart(t)
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if status, _, _ = p.request("POST", "/api/v1/message/", strings.Replace(body, "refused", "after", 1)); status == 200 || time.Now().After(end) {
			break
		}
	}
	if status != 200 {
		t.Fatalf("status %d when it is back", status)
	}
	c.bodies("after") // on the connection of before
	c.received(id)
	s.stored(1)
}

// BenchmarkMailPostgres is BenchmarkMail on PostgreSQL, which waits for its disk.
func BenchmarkMailPostgres(b *testing.B) {
	benchmarkMail(b, Config{DB: postgrestest.Start(b).Schema(b), Limits: store.Limits{MessagesPerDevice: 1 << 30, BytesPerDevice: 1 << 40}, Requests: Rate{Limit: -1}})
}
