package pushsocket

import (
	"context"
	"database/sql"
	"poosh/server/stalltest"
	"strings"
	"testing"
	"time"

	"poosh/server/admission"
)

// lockDatabase keeps the store from writing, as a disk that hangs does, until what
// it returns is called. The store gives up by itself after 5 s.
func (s *site) lockDatabase() (unlock func()) {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+s.dialect.cfg.DB+"?_pragma=busy_timeout(5000)")
	if err != nil {
		s.t.Fatal(err)
	}
	conn, err := db.Conn(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := conn.ExecContext(s.t.Context(), "BEGIN IMMEDIATE"); err != nil {
		s.t.Fatal(err)
	}
	return func() {
		_, _ = conn.ExecContext(context.Background(), "ROLLBACK")
		_ = conn.Close()
		_ = db.Close()
	}
}

// answering waits until a request is under way.
func (s *site) answering() {
	s.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		if s.dialect.answering.Inside() == 1 {
			return
		}
		if time.Now().After(end) {
			s.t.Fatal("no request is under way")
		}
	}
}

// Who waits for a disk that hangs holds no place in the gate: the end of all
// dialects would wait for it.
func TestStuckStoreDoesNotHoldTheGate(t *testing.T) {
	gate := admission.New(new(backlog), 0)
	s := newSite(t, Config{Gate: gate, StoreTimeout: 4 * time.Second})
	p := s.registered("1", 1)
	unlock := s.lockDatabase()
	answered := make(chan report, 1)
	go func() { answered <- p.mail(p.username, "x") }() // ends with the request
	s.answering()
	time.Sleep(500 * time.Millisecond) // it is checked and waits for the disk
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := gate.Close(ctx); err != nil {
		t.Error(err)
	}
	if len(answered) != 0 {
		t.Error("the disk did not hang")
	}
	unlock()
	if r := <-answered; r.MessagesQueued != 1 {
		t.Errorf("%+v", r)
	}
}

// A write that is stuck costs its sender StoreTimeout; those who only read go on. If
// it is stored in the end, its device is told there and then.
func TestStuckStore(t *testing.T) {
	s := newSite(t, Config{StoreTimeout: 1500 * time.Millisecond})
	p := s.registered("1", 1)
	c := p.authorized()
	body := `{"messages":[{"headers":[{"recipient":` + quote(p.username) + `,"messageHeader":"h"}],"body":"late"}]}`
	p.request("GET", keyPath(p.key), "") // the use is to be written, and is behind it:
	if status, answer, _ := p.request("POST", "/api/v1/key/update", `{"prekeys":[{}]}`); status != 200 {
		t.Fatalf("%d %s", status, answer)
	}
	unlock := s.lockDatabase()
	began, stalled := time.Now(), stalltest.Watch(t)
	status, answer, header := p.request("POST", "/api/v1/message/", body)
	if took := time.Since(began) - stalled(); status != 503 || header.Get("Retry-After") == "" || took > 3*time.Second {
		t.Errorf("%d %s after %v", status, answer, took)
	}
	began = time.Now().Add(stalled())
	if status, _, _ := s.newPerson("1").request("GET", keyPath(p.key), ""); status != 401 || time.Since(began)-stalled() > 3*time.Second {
		t.Errorf("a reader got %d after %v", status, time.Since(began))
	}
	unlock()
	c.bodies("late")
}

// Shutdown ends within its time although a request waits for a write that is stuck.
func TestShutdownIsBounded(t *testing.T) {
	s := newSite(t, Config{StoreTimeout: time.Minute})
	p := s.registered("1", 1)
	c := p.authorized()
	p.mail(p.username, "x")
	id := c.bodies("x")[0]
	unlock := s.lockDatabase()
	defer unlock()
	c.received(id)
	answered := make(chan int, 1)
	go func() { // ends with the request
		status, _, _ := p.request("POST", "/api/v1/key/update", `{"prekeys":[{}]}`)
		answered <- status
	}()
	s.answering()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	began, stalled := time.Now(), stalltest.Watch(t)
	err := s.dialect.Shutdown(ctx)
	if took := time.Since(began) - stalled(); err == nil || took > 2*time.Second {
		t.Errorf("%v after %v", err, took)
	}
	// The session had its part of the time.
	if _, err := c.closed(); !strings.Contains(err.Error(), "unexpected EOF") {
		t.Error(err)
	}
	if status := <-answered; status != 503 {
		t.Errorf("status %d", status)
	}
}

// A reader of the store that never comes back does not hold the end up either.
func TestShutdownWithStuckReader(t *testing.T) {
	f := newFailing(t)
	s := newSite(t, Config{Store: f})
	p := s.newPerson("1")
	release := f.hold()
	defer release()
	c := s.connect()
	c.authenticate(p.username, p.password())
	c.synced()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	began, stalled := time.Now(), stalltest.Watch(t)
	if err := s.dialect.Shutdown(ctx); err == nil || time.Since(began)-stalled() > 2*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
}

// A clock that goes ahead is not believed at once, one that goes back is.
func TestCalendar(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	wall, elapsed := start, time.Duration(1)
	c := &calendar{wall: func() time.Time { return wall }, elapsed: func() time.Duration { return elapsed }, base: wall, since: elapsed}
	step := func(name string, clock, real time.Duration, want time.Time, sure bool) {
		t.Helper()
		wall, elapsed = wall.Add(clock), elapsed+real
		if got, ok := c.now(); !got.Equal(want) || ok != sure {
			t.Errorf("%s: %v, %v; want %v", name, got, ok, want)
		}
	}
	const h = time.Hour
	step("steady", h, h, start.Add(h), true)
	step("a year ahead", 365*24*h, 0, start.Add(h), false)
	step("an hour later", h, h, start.Add(2*h), true)
	step("right again", -365*24*h, 0, start.Add(2*h), true)
	step("an hour back", -h, 0, start.Add(h), true)
	step("right again", h, 0, start.Add(2*h), true)
	step("a day ahead", 24*h, 0, start.Add(2*h), false)
	step("and stays there", 23*h, 23*h, start.Add(25*h), true)
	step("for long enough", h, h, start.Add(50*h), true)
	step("steady", h, h, start.Add(51*h), true)
}
