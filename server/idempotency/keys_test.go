package idempotency

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// here says that one may wait where one is.
func here() bool { return false }

func text(s string) Content { return ContentOf([]byte(s)) }

// claim takes a key and expects to be the one who sends.
func claim(t *testing.T, k *Keys, key string, of Content) *Claim {
	t.Helper()
	turn, err := k.Take(t.Context(), Event, key, of, here)
	if err != nil || turn.Claim == nil {
		t.Fatalf("%s: %+v, %v; want a claim", key, turn, err)
	}
	return turn.Claim
}

// answered takes a key and expects what was sent before.
func answered(t *testing.T, k *Keys, key string, of Content, id string) *Answer {
	t.Helper()
	turn, err := k.Take(t.Context(), Event, key, of, here)
	if err != nil || turn.Answer == nil || turn.Answer.ID != id {
		t.Fatalf("%s: %+v, %v; want the answer of %s", key, turn, err, id)
	}
	return turn.Answer
}

func count(s *Store, what outcome) int { return int(s.counts.Get(what)) }

func TestSentOnce(t *testing.T) {
	s := New(Config{})
	k, other := s.App(), s.App()
	c := claim(t, k, "k", text("a"))
	c.Settle(Answer{ID: "1", Handed: 3, Body: []byte("{}"), Asked: "x", Account: []byte("{1}")})
	c.Settle(Answer{ID: "2"})
	c.Release()
	was := answered(t, k, "k", text("a"), "1")
	if was.Handed != 3 || string(was.Body) != "{}" || was.Asked != "x" || string(was.Account) != "{1}" || was.At.IsZero() {
		t.Errorf("%+v", was)
	}
	if turn, err := k.Take(t.Context(), Event, "k", text("b"), here); !errors.Is(err, ErrConflict) || turn != (Turn{}) {
		t.Errorf("another content: %+v, %v", turn, err)
	}
	// Whatever else differs is another key.
	claim(t, k, "K", text("b"))
	claim(t, other, "k", text("b"))
	if turn, err := k.Take(t.Context(), Batch, "k", text("b"), here); err != nil || turn.Claim == nil {
		t.Errorf("of another kind: %+v, %v", turn, err)
	}
	if count(s, sent) != 1 || count(s, replayed) != 1 || count(s, conflict) != 1 || count(s, underWay) != 0 || count(s, forgotten) != 0 {
		t.Errorf("counts %v", s.counts.All())
	}
}

// What was refused may come again, as it was or with another content.
func TestReleased(t *testing.T) {
	k := New(Config{}).App()
	claim(t, k, "k", text("a")).Release()
	if n, bytes := k.size(); n != 0 || bytes != 0 {
		t.Errorf("%d keys, %d bytes are left", n, bytes)
	}
	c := claim(t, k, "k", text("b"))
	c.Release()
	c.Release()
	claim(t, k, "k", text("b")).Settle(Answer{ID: "1"})
	answered(t, k, "k", text("b"), "1")
}

// A request without a key has a claim that does nothing.
func TestNoClaim(t *testing.T) {
	var c *Claim
	c.Settle(Answer{ID: "1"})
	c.Release()
	if n := testing.AllocsPerRun(100, func() { c.Settle(Answer{ID: "1"}) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestSecondWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{})
		k := s.App()
		take := func() (Turn, error) { return k.Take(t.Context(), Event, "k", text("a"), here) }

		// It is answered what the first is answered.
		c := claim(t, k, "k", text("a"))
		var got [3]Turn
		var errs [3]error
		var all sync.WaitGroup
		for i := range got {
			all.Go(func() { got[i], errs[i] = take() })
		}
		time.Sleep(time.Second)
		c.Settle(Answer{ID: "1"})
		all.Wait()
		for i := range got {
			if errs[i] != nil || got[i].Answer == nil || got[i].Answer.ID != "1" {
				t.Errorf("%+v, %v", got[i], errs[i])
			}
		}

		// It sends where the first was refused, one of several.
		c = claim(t, k, "l", text("a"))
		var claims atomic.Int32
		for range 3 {
			all.Go(func() {
				turn, err := k.Take(t.Context(), Event, "l", text("a"), here)
				if err != nil {
					t.Error(err)
				}
				if turn.Claim != nil {
					claims.Add(1)
					time.Sleep(time.Second)
					turn.Claim.Settle(Answer{ID: "2"})
				}
			})
		}
		synctest.Wait()
		c.Release()
		all.Wait()
		if claims.Load() != 1 {
			t.Errorf("%d sent", claims.Load())
		}

		// It is told to come again where that takes too long, or it goes.
		c = claim(t, k, "m", text("a"))
		began := time.Now()
		if turn, err := k.Take(t.Context(), Event, "m", text("a"), here); !errors.Is(err, ErrUnderWay) || turn != (Turn{}) || time.Since(began) != patience {
			t.Errorf("%+v, %v after %v", turn, err, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		began = time.Now()
		if _, err := k.Take(ctx, Event, "m", text("a"), here); !errors.Is(err, ErrUnderWay) || time.Since(began) != time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if count(s, underWay) != 2 {
			t.Errorf("%d were told that it is under way", count(s, underWay))
		}
		// Another content needs no waiting.
		if _, err := k.Take(t.Context(), Event, "m", text("b"), here); !errors.Is(err, ErrConflict) {
			t.Error(err)
		}
		c.Release()
	})
}

// Who may not wait is served again elsewhere, before anything is counted.
func TestElsewhere(t *testing.T) {
	s := New(Config{})
	k := s.App()
	c := claim(t, k, "k", text("a"))
	asked := 0
	turn, err := k.Take(t.Context(), Event, "k", text("a"), func() bool { asked++; return true })
	if err != nil || turn != (Turn{Elsewhere: true}) || asked != 1 || len(s.counts.All()) != 0 {
		t.Errorf("%+v, %v, asked %d times, counts %v", turn, err, asked, s.counts.All())
	}
	c.Settle(Answer{})
	if _, err := k.Take(t.Context(), Event, "k", text("a"), func() bool { t.Error("asked"); return true }); err != nil {
		t.Error(err)
	}
}

func TestForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{TTL: time.Minute, Most: 3, Bytes: 1 << 20})
		k := s.App()
		send := func(key string) { claim(t, k, key, text("a")).Settle(Answer{ID: "of " + key}) }

		send("1")
		time.Sleep(time.Minute - 1)
		answered(t, k, "1", text("a"), "of 1")
		time.Sleep(time.Nanosecond)
		send("1") // again: its time is over
		if n := count(s, forgotten); n != 0 {
			t.Errorf("%d forgotten before their time", n)
		}

		for _, key := range []string{"2", "3", "4"} {
			send(key)
		}
		if n, _ := k.size(); n != 3 || count(s, forgotten) != 1 {
			t.Errorf("%d keys, %d forgotten", n, count(s, forgotten))
		}
		answered(t, k, "2", text("a"), "of 2")
		send("1") // in place of 2

		// What is under way is not forgotten, however much that is.
		var claims []*Claim
		for i := range 5 {
			claims = append(claims, claim(t, k, "way-"+strconv.Itoa(i), text("a")))
		}
		if n, _ := k.size(); n != 5 {
			t.Errorf("%d keys with 5 under way", n)
		}
		time.Sleep(2 * time.Minute)
		if n, _ := k.size(); n != 5 {
			t.Errorf("%d keys with 5 under way for long", n)
		}
		for i, c := range claims {
			c.Settle(Answer{ID: strconv.Itoa(i)})
		}
		if n, _ := k.size(); n != 3 {
			t.Errorf("%d keys", n)
		}
		answered(t, k, "way-4", text("a"), "4")

		// Other bounds count for what is there.
		s.Change(Config{TTL: time.Minute, Most: 1, Bytes: 1 << 20})
		if n, _ := k.size(); n != 1 {
			t.Errorf("%d keys where one may be", n)
		}
		answered(t, k, "way-4", text("a"), "4")
		time.Sleep(time.Minute)
		if n, bytes := k.size(); n != 0 || bytes != 0 {
			t.Errorf("%d keys, %d bytes after all their time", n, bytes)
		}
	})
}

func TestBytes(t *testing.T) {
	const most = 64 << 10
	s := New(Config{Bytes: most})
	k := s.App()
	for i := range 1000 {
		claim(t, k, strings.Repeat("k", 100)+strconv.Itoa(i), text("a")).Settle(Answer{ID: "1", Body: make([]byte, 1000)})
		if n, bytes := k.size(); bytes > most || bytes < int64(n)*(entryCost+1100) {
			t.Fatalf("%d keys in %d bytes", n, bytes)
		}
	}
	if n, _ := k.size(); n < 40 || count(s, forgotten) != 1000-n {
		t.Errorf("%d keys, %d forgotten", n, count(s, forgotten))
	}
	// An answer that others would have to go for is not kept, but its key is.
	before, _ := k.size()
	claim(t, k, "large", text("a")).Settle(Answer{ID: "l", Handed: 7, Body: make([]byte, most/largest), Account: []byte("{}")})
	if was := answered(t, k, "large", text("a"), "l"); was.Body != nil || was.Account != nil || was.Handed != 7 {
		t.Errorf("%+v", was)
	}
	if after, _ := k.size(); after < before {
		t.Errorf("%d keys, then %d", before, after)
	}
	// Neither is what it was asked for, or what it has room for.
	for name, a := range map[string]Answer{
		"asked": {ID: "l", Asked: strings.Repeat("a", most/largest+1)},
		"room":  {ID: "l", Body: make([]byte, 1, most/largest+1)},
	} {
		before, _ = k.size()
		claim(t, k, name, text("a")).Settle(a)
		if was := answered(t, k, name, text("a"), "l"); was.Body != nil || was.Asked != "" {
			t.Errorf("%s: %d bytes of body, %d of what was asked", name, cap(was.Body), len(was.Asked))
		}
		if after, _ := k.size(); after < before {
			t.Errorf("%s: %d keys, then %d", name, before, after)
		}
	}
	// What is kept of it is counted.
	few := New(Config{Bytes: most}).App()
	claim(t, few, "k", text("a")).Settle(Answer{ID: "l", Asked: strings.Repeat("a", 1000)})
	if _, bytes := few.size(); bytes < entryCost+1000 {
		t.Errorf("%d bytes", bytes)
	}
}

// What is too old goes a few at a time, and as a whole where somebody asks for numbers.
func TestOldGoByAndBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Config{TTL: time.Minute, Most: 10_000, Bytes: 1 << 30})
		k := s.App()
		held := func() (keys, list int) {
			k.mu.Lock()
			defer k.mu.Unlock()
			for e := k.first; e != nil; e = e.next {
				list++
			}
			return len(k.byName), list
		}
		send := func(i int) { claim(t, k, strconv.Itoa(i), text("a")).Settle(Answer{ID: "id"}) }
		const old = 1000
		for i := range old {
			send(i)
		}
		time.Sleep(time.Minute)
		claim(t, k, "new", text("a")).Release()
		if n, list := held(); n != old-step || list != old-step {
			t.Errorf("%d keys, %d in the list after one", n, list)
		}
		// One that is too old and there still is a new one, of another content as well.
		again := claim(t, k, strconv.Itoa(old-1), text("b"))
		again.Settle(Answer{ID: "again"})
		answered(t, k, strconv.Itoa(old-1), text("b"), "again")
		claim(t, k, strconv.Itoa(old-2), text("a")).Release()
		if n, bytes := k.size(); n != 1 || bytes <= entryCost || bytes > entryCost+50 {
			t.Errorf("%d keys, %d bytes", n, bytes)
		}
		if n, list := held(); n != 1 || list != 1 {
			t.Errorf("%d keys, %d in the list in the end", n, list)
		}
		answered(t, k, strconv.Itoa(old-1), text("b"), "again")
		// What is too much goes at once as other bounds come, but in steps: who comes meanwhile
		// waits for one of them.
		for i := range old - 1 {
			send(i)
		}
		lower := Config{TTL: time.Minute, Most: 10, Bytes: 1 << 30}
		s.bounds.Store(lower.withDefaults())
		claim(t, k, "meanwhile", text("a")).Release()
		if n, list := held(); n != old-step || list != old-step {
			t.Errorf("%d keys, %d in the list after one step", n, list)
		}
		s.Change(lower)
		if n, list := held(); n != 10 || list != 10 || count(s, forgotten) != old-10 {
			t.Errorf("%d keys, %d in the list, %d forgotten", n, list, count(s, forgotten))
		}
		// And as one key takes the place of many: a sixteenth of the bytes.
		time.Sleep(time.Minute)
		const bytes = 1 << 20
		s.Change(Config{TTL: time.Minute, Most: 10_000, Bytes: bytes})
		for i := range 5000 {
			send(i)
		}
		_, before := held()
		claim(t, k, "large", text("a")).Settle(Answer{Asked: strings.Repeat("a", bytes/largest)})
		if _, list := held(); list > before-2*step {
			t.Errorf("%d in the list, then %d", before, list)
		}
		if _, n := k.size(); n > bytes {
			t.Errorf("%d bytes", n)
		}
	})
}

// An app that is no more does not count.
func TestClose(t *testing.T) {
	s := New(Config{})
	a, b := s.App(), s.App()
	claim(t, a, "k", text("a")).Settle(Answer{})
	claim(t, b, "k", text("a")).Settle(Answer{})
	if n, _ := s.size(); n != 2 {
		t.Errorf("%d keys", n)
	}
	a.Close()
	if n, _ := s.size(); n != 1 {
		t.Errorf("%d keys", n)
	}
	// What is under way there ends as usual.
	claim(t, a, "l", text("a")).Settle(Answer{})
}

// Nothing of what is kept is a part of what the caller has.
func TestOwnMemory(t *testing.T) {
	s := New(Config{})
	k := s.App()
	long := strings.Repeat("x", 64<<10)
	before := heap()
	for i := range 200 {
		big := []byte(long + strconv.Itoa(i))
		key := string(big)[len(long):]
		turn, err := k.Take(t.Context(), Event, key, text("a"), here)
		if err != nil {
			t.Fatal(err)
		}
		turn.Claim.Settle(Answer{ID: key, Asked: key})
	}
	if more := heap() - before; more > 4<<20 {
		t.Errorf("200 keys hold %d bytes", more)
	}
	runtime.KeepAlive(k)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Many who send the same few things at once, some of which are refused, send each once.
func TestAtOnce(t *testing.T) {
	s := New(Config{TTL: time.Hour})
	k := s.App()
	const things, senders, tries = 50, 8, 400
	var sends [things]atomic.Int32
	var all sync.WaitGroup
	for seed := range senders {
		all.Go(func() {
			random := rand.New(rand.NewPCG(uint64(seed), 1))
			for range tries {
				i := random.IntN(things)
				turn, err := k.Take(t.Context(), Event, strconv.Itoa(i), text(strconv.Itoa(i)), here)
				switch {
				case errors.Is(err, ErrUnderWay): // this machine stood still
				case err != nil:
					t.Error(err)
				case turn.Answer != nil:
					if turn.Answer.ID != fmt.Sprint("id ", i) {
						t.Errorf("%d was answered %q", i, turn.Answer.ID)
					}
				case random.IntN(3) == 0:
					runtime.Gosched()
					turn.Claim.Release()
				default:
					runtime.Gosched()
					sends[i].Add(1)
					turn.Claim.Settle(Answer{ID: fmt.Sprint("id ", i)})
				}
			}
		})
	}
	all.Wait()
	for i := range sends {
		if n := sends[i].Load(); n != 1 {
			t.Errorf("%d was sent %d times", i, n)
		}
	}
	if n, bytes := k.size(); n != things || bytes < things*entryCost {
		t.Errorf("%d keys, %d bytes", n, bytes)
	}
}

// BenchmarkKept says what a key takes, and what it is counted as.
func BenchmarkKept(b *testing.B) {
	for b.Loop() {
		k := New(Config{Most: 1_000_000, Bytes: 1 << 40}).App()
		const keys = 50_000
		before := heap()
		for i := range keys {
			turn, _ := k.Take(context.Background(), Event, fmt.Sprintf("7c85%032d", i), text(strconv.Itoa(i)), here)
			turn.Claim.Settle(Answer{ID: fmt.Sprintf("0123456-%012d", i), Handed: 1})
		}
		b.ReportMetric(float64(heap()-before)/keys, "B/key")
		_, bytes := k.size()
		b.ReportMetric(float64(bytes)/keys, "counted/key")
	}
}

// BenchmarkTake is a key that is new, and one that is known.
func BenchmarkTake(b *testing.B) {
	k := New(Config{Most: 1000}).App()
	of := text("a")
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			turn, _ := k.Take(context.Background(), Event, strconv.Itoa(i), of, here)
			turn.Claim.Settle(Answer{ID: "id"})
		}
	})
	b.Run("known", func(b *testing.B) {
		turn, _ := k.Take(context.Background(), Event, "known", of, here)
		turn.Claim.Settle(Answer{ID: "id"})
		b.ReportAllocs()
		for b.Loop() {
			if turn, _ := k.Take(context.Background(), Event, "known", of, here); turn.Answer == nil {
				b.Fatal("not known")
			}
		}
	})
}
