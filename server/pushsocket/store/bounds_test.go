package store

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"poosh/auth"
)

// contents counts the rows of a table.
func contents(t testing.TB, s *keeper, table string) (n int) {
	t.Helper()
	ask(t, s, "SELECT count(*) FROM "+table, nil, &n)
	return n
}

// One message for many devices takes the room of one: a request of 100 KB made
// 61 MB of it when each had a body of its own. The body goes with the last copy.
func TestBodyIsStoredOnce(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		s := open(Limits{})
		me := register(t, s, "me", "1", 0)
		var to []auth.Address
		var devices []Device
		for i := range 500 {
			key := fmt.Sprint("k", i)
			devices = append(devices, register(t, s, key, "1", 0))
			to = append(to, address(key, "1"))
		}
		before, err := s.Usage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		body := `"` + strings.Repeat("x", 60_000) + `"`
		out, _, err := s.Queue(t.Context(), me.ID, []Outgoing{outgoing(body, to...)}, nil)
		if err != nil || len(out) != 500 {
			t.Fatal(out, err)
		}
		after, err := s.Usage(t.Context())
		if err != nil || after.Messages != 500 || after.InUse-before.InUse > 400_000 {
			t.Errorf("%d bytes more, %+v, %v", after.InUse-before.InUse, after, err)
		}
		if n := contents(t, s, "bodies"); n != 1 {
			t.Errorf("%d bodies", n)
		}
		for i, d := range devices {
			bodies, ids := pending(t, s, d)
			if !slices.Equal(bodies, []string{body}) {
				t.Fatalf("device %d has %.20q", i, bodies)
			}
			switch n, err := s.Confirm(t.Context(), d.ID, ids); {
			case err != nil || n != 1:
				t.Fatal(n, err)
			case i%2 == 0:
				if err := s.Remove(t.Context(), d.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, table := range []string{"bodies", "messages", "senders"} {
			if n := contents(t, s, table); n != 0 {
				t.Errorf("%d of %s are left", n, table)
			}
		}
	})
}

// One sender has a share of a mailbox, in messages and in bytes; the device itself
// may fill it.
func TestSenderShare(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		for _, drop := range []bool{false, true} {
			t.Run(fmt.Sprint("drop ", drop), func(t *testing.T) {
				s := open(Limits{MessagesPerDevice: 8, BytesPerDevice: 80_000, DropOldest: drop})
				victim, a, b := register(t, s, "victim", "1", 0), register(t, s, "a", "1", 0), register(t, s, "b", "1", 0)
				to := address("victim", "1")
				out := queue(t, s, a, to, `"a1"`, `"a2"`, `"a3"`)
				want := []string{`"a1"`, `"a2"`}
				if drop {
					want = []string{`"a2"`, `"a3"`}
					if out[2].Kind != Queued || out[2].Dropped != 1 {
						t.Errorf("%+v", out)
					}
				} else if out[2].Kind != SenderFull {
					t.Errorf("%+v", out)
				}
				large := `"` + strings.Repeat("x", 15_000) + `"`
				out = queue(t, s, b, to, large, large)
				want = append(want, large)
				if drop && (out[1].Kind != Queued || out[1].Dropped != 1) || !drop && out[1].Kind != SenderFull {
					t.Errorf("%+v", out)
				}
				if bodies, _ := pending(t, s, victim); !slices.Equal(bodies, want) {
					t.Errorf("%.60q", bodies)
				}
				// A share is of what waits: it comes back.
				_, ids := pending(t, s, victim)
				if _, err := s.Confirm(t.Context(), victim.ID, ids); err != nil {
					t.Fatal(err)
				}
				if out := queue(t, s, a, to, `"a4"`, `"a5"`); out[1].Kind != Queued || out[1].Dropped != 0 {
					t.Errorf("%+v", out)
				}
				if out := queue(t, s, victim, to, `1`, `2`, `3`, `4`, `5`, `6`); out[5].Kind != Queued || out[5].Dropped != 0 {
					t.Errorf("%+v", out)
				}
			})
		}
	})
}

// A mailbox has a bound in bytes, whoever fills it.
func TestMailboxBytes(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		s := open(Limits{BytesPerDevice: 1000})
		d := register(t, s, "k", "1", 0)
		to := address("k", "1")
		body := func(c string) string { return `"` + strings.Repeat(c, 300) + `"` }
		if out := queue(t, s, d, to, body("a"), body("b"), body("c"), body("d")); out[2].Kind != Queued || out[3].Kind != DeviceFull {
			t.Errorf("%+v", out)
		}
		l := s.Limits()
		l.DropOldest = true
		s.SetLimits(l)
		if out := queue(t, s, d, to, body("e")); out[0].Kind != Queued || out[0].Dropped != 1 {
			t.Errorf("%+v", out)
		}
		if out := queue(t, s, d, to, `"`+strings.Repeat("f", 600)+`"`); out[0].Kind != Queued || out[0].Dropped != 2 {
			t.Errorf("%+v", out)
		}
		if out := queue(t, s, d, to, `"`+strings.Repeat("g", 1000)+`"`); out[0].Kind != DeviceFull || out[0].Dropped != 0 {
			t.Errorf("%+v", out)
		}
		if bodies, _ := pending(t, s, d); len(bodies) != 2 || bodies[0] != body("e") {
			t.Errorf("%.60q", bodies)
		}
	})
}

func TestKeyBytes(t *testing.T) {
	each(t, func(t *testing.T, open func(Limits) *keeper) {
		s := open(Limits{KeyBytesPerDevice: 1000})
		ctx := t.Context()
		key := []byte(`{"x":"` + strings.Repeat("x", 392) + `"}`) // 400 bytes
		if _, err := s.Register(ctx, address("k", "1"), Keys{LastResort: key, Prekeys: [][]byte{key, key}}); err != ErrKeysTooLarge {
			t.Error(err)
		}
		d, err := s.Register(ctx, address("k", "1"), Keys{LastResort: key, Prekeys: [][]byte{key}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.AddKeys(ctx, d.ID, Keys{Prekeys: [][]byte{key}}); err != ErrKeysTooLarge {
			t.Error(err)
		}
		// A last resort key takes the place of the one before.
		if _, err := s.AddKeys(ctx, d.ID, Keys{LastResort: key}); err != nil {
			t.Error(err)
		}
		if _, err := s.AddKeys(ctx, d.ID, Keys{LastResort: []byte(`{}`), Prekeys: [][]byte{key}}); err != nil {
			t.Error(err)
		}
		if u, err := s.Usage(ctx); err != nil || u.KeyBytes != 802 || u.Prekeys != 2 {
			t.Errorf("%+v, %v", u, err)
		}
		if _, _, err := s.TakeKeys(ctx, "k", d.ID); err != nil {
			t.Error(err)
		}
		if _, err := s.AddKeys(ctx, d.ID, Keys{Prekeys: [][]byte{key}}); err != nil {
			t.Error(err)
		}
	})
}

// Whoever fills the file with keys leaves a part of it, in which messages of those
// who are known still go through.
func TestKeysLeaveRoom(t *testing.T) {
	s := open(t, Limits{BytesOnDisk: 2 << 20})
	ctx := t.Context()
	d := register(t, s, "known", "1", 1)
	key := []byte(`{"x":"` + strings.Repeat("x", 4000) + `"}`)
	var err error
	for i := 0; err == nil && i < 10_000; i++ {
		_, err = s.Register(ctx, address(fmt.Sprint("stranger", i), "1"), Keys{LastResort: key, Prekeys: [][]byte{key, key}})
	}
	if !errors.Is(err, ErrKeysFull) {
		t.Fatal(err)
	}
	if _, err := s.AddKeys(ctx, d.ID, keys(1)); !errors.Is(err, ErrKeysFull) {
		t.Error(err)
	}
	for i := range 10 {
		if out := queue(t, s, d, address("known", "1"), `"`+strings.Repeat("m", 20_000)+`"`); out[0].Kind != Queued {
			t.Errorf("message %d: %+v", i, out)
		}
	}
	if r, err := s.RemoveIdentity(ctx, "stranger1"); err != nil || r.Identities != 1 {
		t.Error(r, err)
	}
}
