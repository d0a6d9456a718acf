package intake

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/hub"
	"poosh/server/leaktest"
	"poosh/server/logtest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// patience is how long something may take that takes a moment.
const patience = 30 * time.Second

// A bench is a reader of a Redis, and what it has published to the room "r".
type bench struct {
	t      *testing.T
	log    logtest.Buffer
	reader *Reader
	came   chan string
}

type encoder struct{}

func (encoder) Encode(p *hub.Publication) []byte { return p.Data }

type seat chan string

func (s seat) Deliver(frame []byte) bool { s <- string(frame); return true }

// read starts a reader of whatever is published below "p:" at an address.
func read(t *testing.T, url string, change func(*Config)) *bench {
	t.Helper()
	at, err := ParseAddress(url)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, came: make(chan string, 100_000)}
	h := hub.New()
	s := h.Register("app", "s", 10, encoder{}, seat(b.came))
	if err := h.Join(s, "r"); err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Name: "test", Redis: at, Patterns: []string{EscapePattern("p:") + "*"}, Hub: h,
		Log:     slog.New(slog.NewTextHandler(&b.log, nil)),
		Reasons: []string{"empty"},
		Read: func(m Message) ([]*hub.Publication, string) {
			if len(m.Payload) == 0 {
				return nil, "empty"
			}
			return []*hub.Publication{{App: "app", Room: "r", Event: "e", Data: m.Payload}}, ""
		},
	}
	if change != nil {
		change(&cfg)
	}
	if b.reader, err = Start(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		b.reader.Stop(ctx)
	})
	return b
}

// connected waits until the reader has so many connections behind it.
func (b *bench) connected(n float64) {
	b.t.Helper()
	redistest.Until(b.t, "the reader has a connection", func() bool {
		return b.number("test_redis_connected") == 1 && b.number("test_redis_gaps_total") == n
	})
}

func (b *bench) number(name string, label ...string) float64 {
	for _, r := range b.reader.Readings() {
		if r.Name != name {
			continue
		}
		for _, s := range r.Samples {
			if strings.Join(s.Labels, " ") == strings.Join(label, " ") {
				return s.Value
			}
		}
	}
	b.t.Fatalf("there is no %s %v", name, label)
	return 0
}

func (b *bench) want(texts ...string) {
	b.t.Helper()
	for _, want := range texts {
		select {
		case got := <-b.came:
			if got != want {
				b.t.Fatalf("%q, want %q", got, want)
			}
		case <-time.After(patience):
			b.t.Fatalf("%q does not come. The log has\n%s", want, b.log.String())
		}
	}
}

func TestReads(t *testing.T) {
	s := redistest.Start(t)
	b := read(t, "redis://"+s.Addr, nil)
	b.connected(0)
	for _, text := range []string{"one", "one", "", "two"} {
		s.Do("PUBLISH", "p:x", text)
	}
	s.Do("PUBLISH", "q:x", "not for us")
	s.Do("PUBLISH", "p:y", "three")
	b.want("one", "one", "two", "three")
	if n := b.number("test_redis_dropped_total", "empty"); n != 1 {
		t.Errorf("%v were dropped", n)
	}
}
