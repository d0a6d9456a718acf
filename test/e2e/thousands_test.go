package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A returner is a client of protocol 4 written by hand that is in one room, and comes back by
// connection state recovery or by its join.
type returner struct {
	s     *server
	state bool // by connection state recovery
	ws    *rawSocket
	pid   string
	last  string   // position
	seen  []string // events, each its name and number
}

// enter connects, and asks for what it missed.
func (r *returner) enter() (err error) {
	// By the query, so that it may take its time.
	if r.ws, err = dialSocket(r.s.clientPort, "EIO=4&transport=websocket&recovery=1", ""); err != nil {
		return err
	}
	back := "40"
	if r.state && r.pid != "" {
		back += fmt.Sprintf(`{"pid":%q,"offset":%q}`, r.pid, r.last)
	}
	if err = r.ws.say(back); err != nil {
		return err
	}
	hello, err := r.ws.hearPrefix("40")
	if err != nil {
		return err
	}
	_, pid, _ := strings.Cut(hello, `"pid":"`)
	pid, _, _ = strings.Cut(pid, `"`)
	if known := r.pid; r.state {
		if r.pid = pid; pid == "" || known != "" && pid != known {
			return fmt.Errorf("it is not who it was: %s", hello)
		}
		if known != "" {
			return nil
		}
	}
	since := "null"
	if r.last != "" {
		since = quote(r.last)
	}
	return r.ws.say(`420["room","r",{"since":` + since + `}]`)
}

// listen notes the events that come, up to a message.
func (r *returner) listen(what string, until func(text string) bool) error {
	_, err := r.ws.hear(patience, what, func(text string) bool {
		var args []any
		if event, is := strings.CutPrefix(text, "42"); is && json.Unmarshal([]byte(event), &args) == nil && len(args) == 3 && args[0] != "probe" {
			n, _, _ := strings.Cut(fmt.Sprint(args[1]), " ")
			r.seen, r.last = append(r.seen, fmt.Sprintf("%v%v", args[0], n)), fmt.Sprint(args[2])
		}
		return until(text)
	})
	return err
}

// hear listens up to an event.
func (r *returner) hear(last string) error {
	return r.listen(last, func(string) bool { return len(r.seen) > 0 && r.seen[len(r.seen)-1] == last })
}

// confirmed listens up to the answer to its join, which is to say so.
func (r *returner) confirmed(says string) (err error) {
	return errors.Join(r.listen("the answer to a join", func(text string) bool {
		if strings.HasPrefix(text, "430") && !strings.Contains(text, says) {
			err = errors.New("its join was answered " + text)
		}
		return strings.HasPrefix(text, "430")
	}), err)
}

// A thousandfold is many returners.
type thousandfold []*returner

// each has all of them do something at once.
func (all thousandfold) each(what string, do func(*returner) error) error {
	var doing sync.WaitGroup
	faults := make(chan error, len(all))
	for _, r := range all {
		doing.Go(func() {
			if err := do(r); err != nil {
				faults <- err
			}
		})
	}
	doing.Wait()
	if len(faults) > 0 {
		return fmt.Errorf("%s: %d of %d do not: %w", what, len(faults), len(all), <-faults)
	}
	return nil
}

// Two thousand clients that are there when the server ends in order, and are back at once with
// the next process, half of them by their pids and half by their joins, as ones that have had
// nothing of a hundred events and of what is sent while they leave: each is given all of them,
// and nobody is closed for it; what waits for them, and the memory that it takes, stay within
// their bounds. Who sends meanwhile is taken, and is behind what they missed.
func TestThousandsReturnToTheNextProcess(t *testing.T) {
	const many, events, backlog = 2000, 100, 64 << 20
	s := start(t, "HISTORY=1h", "HISTORY_EVENTS=100000", "HISTORY_FILE=history", "SHUTDOWN_TIMEOUT=20s", "BACKLOG_BYTES=64MiB",
		"PING_INTERVAL=60s", "PING_TIMEOUT=120s", "MAX_CONNECTIONS_PER_ADDRESS=10000", "MAX_CONNECTIONS=10000")
	var all thousandfold
	for i := range many {
		all = append(all, &returner{s: s, state: i%2 == 0})
	}
	defer func() {
		for _, r := range all {
			if r.ws != nil {
				r.ws.Close()
			}
		}
	}()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(all.each("to be there", func(r *returner) error {
		if err := r.enter(); err != nil {
			return err
		}
		return r.confirmed(`"recovered":null`)
	}))
	s.waitRoom(t, "r", many)
	s.send(t, "r", "first", "0")
	must(all.each("to hear of one event", func(r *returner) error { return r.hear("first0") }))
	var want []string
	for n := range events {
		s.send(t, "r", "missed", quote(fmt.Sprint(n, padding)))
		want = append(want, fmt.Sprint("missed", n))
	}
	sending := number(s, 100*time.Millisecond, "r")
	stop := sync.OnceFunc(sending.end)
	defer stop()
	eventually(t, patience, "events to be accepted", func() bool { return sending.count.Load() > 5 })
	there := s.resident(t)

	// All that is on its way to them now they lose with their connections.
	var leaving sync.WaitGroup
	for _, r := range all {
		leaving.Go(func() {
			_, _, _ = r.ws.hearEnd(2 * patience)
			r.ws.Close()
		})
	}
	s.again(t)
	leaving.Wait()
	left := sending.count.Load()
	began := time.Now()
	back := make(chan error, 1)
	go func() { // ends when all are back, or will not be
		back <- all.each("to be back", func(r *returner) error {
			if err := r.enter(); err != nil {
				return err
			}
			if r.state {
				return r.hear(want[events-1])
			}
			return r.confirmed(`"recovered":true`)
		})
	}()
	queued, peak := 0, 0
	for waiting := true; waiting; {
		select {
		case err := <-back:
			must(err)
			waiting = false
		case <-time.After(50 * time.Millisecond):
			queued, peak = max(queued, s.status(t).queuedBytes), max(peak, s.resident(t))
		}
	}
	took := time.Since(began)
	t.Logf("%d clients were given %d events and more each in %v; %d bytes waited at the most; memory %d MiB when they left, %d MiB at the most",
		many, events, took.Round(time.Millisecond), queued, there>>20, peak>>20)
	if queued > backlog {
		t.Errorf("%d bytes waited for clients", queued)
	}
	// The race detector makes several times as much of what is allocated. A copy of what was
	// missed for each client would take far more.
	if most := there + 3*backlog; peak > most {
		t.Errorf("the server took %d bytes of memory, of %d at the most", peak, most)
	}
	eventually(t, patience, "more to be accepted", func() bool { return sending.count.Load() > left+5 })
	stop()
	s.send(t, "r", "done", "0")
	must(all.each("to hear what was sent meanwhile", func(r *returner) error { return r.hear("done0") }))
	want = slices.Insert(want, 0, "first0")
	for _, n := range sending.accepted {
		want = append(want, fmt.Sprint("n", n))
	}
	want = append(want, "done0")
	unknown := make(map[string]bool)
	for n := range sending.unknown {
		unknown[fmt.Sprint("n", n)] = true
	}
	for i, r := range all {
		if sure := slices.DeleteFunc(slices.Clone(r.seen), func(name string) bool { return unknown[name] }); !slices.Equal(sure, want) {
			t.Fatalf("client %d saw %q, want %q", i, r.seen, want)
		}
	}
	if st := s.status(t); st.closedSlow > 0 || st.sessions != many {
		t.Errorf("%+v", st)
	}
}
