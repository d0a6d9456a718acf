package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/certificate/certificatetest"
	"poosh/server/cluster/redistest"
	"poosh/server/cluster/resp"
	"poosh/server/loop"
)

// ears note what comes over a wire without being asked for.
type ears struct {
	heed func(channel, text string) // called with each message; nil for nothing

	mu    sync.Mutex // guards what follows
	notes []string
}

func (e *ears) message(channel, text string) {
	if e.heed != nil {
		e.heed(channel, text)
	}
	e.note("message " + channel + " " + text)
}

func (e *ears) subscription(kind, channel string) { e.note(kind + " " + channel) }
func (e *ears) brought() bool                     { return false }

func (e *ears) note(text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.notes = append(e.notes, text)
}

func (e *ears) all() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.notes)
}

// ownLoop is a loop for wires, which ends with the test.
func ownLoop(t testing.TB) *loop.Loop {
	t.Helper()
	l, err := loop.New(loop.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// reach dials by a URL, and has what comes heard by e. The wire ends with the test.
func reach(t testing.TB, l *loop.Loop, url string, e *ears) *wire {
	t.Helper()
	nc, err := dialled(t, t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	w := attach(l, nc, e, new(atomic.Int64))
	t.Cleanup(func() { w.close(errStopped) })
	return w
}

func dialled(t testing.TB, ctx context.Context, url string) (net.Conn, error) {
	t.Helper()
	e, err := ParseEngine(url)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return e.dial(ctx, e.addresses[0], "poosh-of-a-test")
}

// await waits for something that comes.
func await[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(30 * time.Second):
		t.Fatalf("not within 30 s: %s", what)
		panic("unreachable")
	}
}

// said is what a command is answered.
func said(t testing.TB, w *wire, words ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	got, err := w.do(ctx, words...).ToString()
	if err != nil {
		t.Fatalf("%.60q: %v", words, err)
	}
	return got
}

// subscribing is a command that begins or ends subscriptions.
func subscribing(kind string, channels ...string) ([]byte, *command) {
	return resp.AppendCommand(nil, append([]string{kind}, channels...)...), &command{want: 1, kind: kind, of: channels}
}

// pipelined says commands in one write, and returns what came of each in the order of coming.
func pipelined(t testing.TB, w *wire, say ...func() (name string, text []byte, c *command)) []string {
	t.Helper()
	came := make(chan string, 2*len(say))
	w.conn.Cork()
	for _, s := range say {
		name, text, c := s()
		c.done = func(list []reply, err error) {
			switch {
			case err != nil:
				came <- name + ": " + err.Error()
			case list[0].Error() != nil:
				word, _, _ := strings.Cut(list[0].Error().Error(), " ")
				came <- name + ": " + word
			default:
				came <- name + ": " + list[0].Text
			}
		}
		w.say(text, c, false)
	}
	w.conn.Uncork()
	var list []string
	for range say {
		list = append(list, await(t, came, "an answer"))
	}
	return list
}

func echoed(what string) func() (string, []byte, *command) {
	return func() (string, []byte, *command) {
		return "echo", resp.AppendCommand(nil, "ECHO", what), &command{want: 1}
	}
}

func subscribed(kind string, channels ...string) func() (string, []byte, *command) {
	return func() (string, []byte, *command) {
		text, c := subscribing(kind, channels...)
		return kind, text, c
	}
}

// Notes of subscriptions answer who asked for them, among other commands on their way.
func TestWireMatchesNotes(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	e := &ears{}
	w := reach(t, ownLoop(t), at(redis.Addr), e)
	got := pipelined(t, w, echoed("1"), subscribed(noteSubscribe, "{c}1", "{c}2"), echoed("2"), subscribed(noteUnsubscribe, "{c}1"),
		subscribed(noteSubscribe, "{c}1"), echoed("3"), subscribed(noteUnsubscribe, "{c}2", "{c}3"), echoed("4"))
	want := []string{"echo: 1", "ssubscribe: ", "echo: 2", "sunsubscribe: ", "ssubscribe: ", "echo: 3", "sunsubscribe: ", "echo: 4"}
	if !slices.Equal(got, want) {
		t.Errorf("it answers %q; want %q", got, want)
	}
	want = []string{"ssubscribe {c}1", "ssubscribe {c}2", "sunsubscribe {c}1", "ssubscribe {c}1", "sunsubscribe {c}2", "sunsubscribe {c}3"}
	if got := e.all(); !slices.Equal(got, want) {
		t.Errorf("it heard %q; want %q", got, want)
	}
	redis.Do("SPUBLISH", "{c}2", "for nobody")
	redis.Do("SPUBLISH", "{c}1", "x")
	until(t, "the message is there", func() bool { return len(e.all()) > len(want) })
	if got, want := e.all(), append(want, "message {c}1 x"); !slices.Equal(got, want) {
		t.Errorf("it heard %q; want %q", got, want)
	}
}

// Many that say something at once each get the answer that is theirs, while messages come.
func TestWireAnswersEach(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := reach(t, ownLoop(t), at(redis.Addr), &ears{})
	other := reach(t, ownLoop(t), at(redis.Addr), &ears{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			own := fmt.Sprint("c", i)
			for k := range 40 {
				err := w.subscribe(ctx, noteSubscribe, []string{own})
				want := fmt.Sprint(own, "/", k)
				got, wrong := w.do(ctx, "ECHO", want).ToString()
				no := w.do(ctx, "NO-"+want).Error()
				told, silent := other.do(ctx, "SPUBLISH", own, "x").AsInt64()
				err = errors.Join(err, wrong, silent, w.subscribe(ctx, noteUnsubscribe, []string{own}))
				if err != nil || got != want || told != 1 || no == nil || !strings.Contains(no.Error(), "'NO-"+want+"'") {
					t.Errorf("%s: echo %q, %d subscribers, a command that is none: %v; %v", want, got, told, no, err)
					return
				}
			}
		})
	}
	all.Wait()
}

// A no to a subscription answers that, and not what was said behind it.
func TestWireSubscriptionRefused(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	redis.Do("ACL", "SETUSER", "poor", "on", ">sesame", "+@all", "~*", "resetchannels", "&open*")
	w := reach(t, ownLoop(t), "redis://poor:sesame@"+redis.Addr, &ears{})
	got := pipelined(t, w, subscribed(noteSubscribe, "open"), subscribed(noteSubscribe, "shut"), echoed("1"), subscribed(noteSubscribe, "open2"), echoed("2"))
	want := []string{"ssubscribe: ", "ssubscribe: NOPERM", "echo: 1", "ssubscribe: ", "echo: 2"}
	if !slices.Equal(got, want) {
		t.Errorf("it answers %q; want %q", got, want)
	}
	if err := w.subscribe(t.Context(), noteSubscribe, []string{"shut"}); err == nil || !strings.HasPrefix(err.Error(), "NOPERM") {
		t.Errorf("who waits is told %v", err)
	}
}

// inFlight waits until so many commands wait for their answers.
func inFlight(t testing.TB, w *wire, commands int) {
	t.Helper()
	until(t, fmt.Sprintf("%d commands wait", commands), func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.waiting) == commands
	})
}

// Who waits no longer is gone at once, and the answer that comes later is nobody else's.
func TestWireAbandoned(t *testing.T) {
	t.Parallel()
	lead := redistest.NewWire(t, redistest.Start(t).Addr)
	w := reach(t, ownLoop(t), at(lead.Addr), &ears{})
	lead.Hold()
	ctx, cancel := context.WithCancel(t.Context())
	gone, there := make(chan error, 3), make(chan reply, 1)
	go func() { gone <- w.do(ctx, "ECHO", "1").Error() }()
	go func() { gone <- newScript("return ARGV[1]").on(ctx, w, nil, []string{"1"}).Error() }()
	go func() { gone <- w.subscribe(ctx, noteSubscribe, []string{"c"}) }()
	inFlight(t, w, 3)
	go func() { there <- w.do(t.Context(), "ECHO", "2") }()
	inFlight(t, w, 4)
	cancel()
	for range 3 {
		if err := await(t, gone, "the end of who was called off"); !errors.Is(err, context.Canceled) {
			t.Errorf("it ends with %v", err)
		}
	}
	lead.Release()
	if got, err := await(t, there, "the answer to the last").ToString(); got != "2" || err != nil {
		t.Errorf("it answers %q, %v", got, err)
	}
	if got := said(t, w, "ECHO", "3"); got != "3" {
		t.Errorf("later it answers %q", got)
	}
}

// large has values of some megabytes go both ways, beside small ones.
func large(t *testing.T, w *wire) {
	t.Helper()
	value := strings.Repeat("0123456789abcdef", 10<<20/16)
	var all sync.WaitGroup
	for i := range 3 {
		all.Go(func() {
			for range 20 {
				if got, err := w.do(t.Context(), "ECHO", fmt.Sprint(i)).ToString(); got != fmt.Sprint(i) || err != nil {
					t.Errorf("beside it: %q, %v", got, err)
				}
			}
		})
	}
	if got := said(t, w, "SET", "large", value); got != "OK" {
		t.Errorf("SET: %q", got)
	}
	if got := said(t, w, "GET", "large"); got != value {
		t.Errorf("of %d bytes %d came back, or others", len(value), len(got))
	}
	all.Wait()
}

func TestWireLarge(t *testing.T) {
	t.Parallel()
	large(t, reach(t, ownLoop(t), at(redistest.Start(t).Addr), &ears{}))
}

// Over TLS a wire has goroutines, and does the same.
func TestWireOverTLS(t *testing.T) {
	t.Parallel()
	authority := certificatetest.New(t)
	cert, key, ca := authority.Write(t.TempDir(), "redis.example") // and for 127.0.0.1
	addr, port := redistest.FreePort(t)
	redis := redistest.Start(t, "--tls-port", port, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", ca, "--tls-auth-clients", "no")
	nc, err := (&tls.Dialer{Config: authority.Client()}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := greet(t.Context(), nc, &Engine{db: 2}, "poosh-of-a-test"); err != nil {
		t.Fatal(err)
	}
	e := &ears{}
	w := attach(ownLoop(t), nc, e, new(atomic.Int64))
	defer w.close(errStopped)
	if w.conn.OnLoop() {
		t.Error("who encrypts is on the loop")
	}
	got := pipelined(t, w, echoed("1"), subscribed(noteSubscribe, "{c}1", "{c}2"), echoed("2"), subscribed(noteUnsubscribe, "{c}1"))
	if want := []string{"echo: 1", "ssubscribe: ", "echo: 2", "sunsubscribe: "}; !slices.Equal(got, want) {
		t.Errorf("it answers %q; want %q", got, want)
	}
	redis.Do("SPUBLISH", "{c}2", "x")
	until(t, "the message is there", func() bool { return slices.Contains(e.all(), "message {c}2 x") })
	urgent := make(chan []reply, 1)
	w.scripts([]scripted{{newScript("return ARGV[1]"), nil, []string{"1"}}}, false, func(list []reply) { urgent <- list })
	if got, err := await(t, urgent, "what is urgent")[0].ToString(); got != "1" || err != nil {
		t.Errorf("what is urgent is answered %q, %v", got, err)
	}
	large(t, w)
	redis.Kill()
	await(t, w.ended, "the end of the wire")
	if err := w.do(t.Context(), "PING").Error(); err == nil {
		t.Error("it answers behind the end")
	}
}
