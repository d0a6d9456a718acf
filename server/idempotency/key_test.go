package idempotency

import (
	"context"
	"errors"
	"strings"
	"testing"
)

func TestOf(t *testing.T) {
	for _, tt := range []struct {
		header []string
		key    string
		err    error
	}{
		{[]string{"k"}, "k", nil},
		{[]string{`"k"`}, `"k"`, nil},
		{[]string{strings.Repeat("k", MaxKey)}, strings.Repeat("k", MaxKey), nil},
		{[]string{strings.Repeat("k", MaxKey+1)}, "", ErrTooLong},
		{[]string{strings.Repeat("é", MaxKey/2+1)}, "", ErrTooLong},
		{[]string{""}, "", ErrEmpty},
		{[]string{}, "", ErrSeveral},
		{[]string{"k", "k"}, "", ErrSeveral},
	} {
		if key, err := Of(tt.header); !errors.Is(err, tt.err) || err == nil && key != tt.key {
			t.Errorf("%q: %q, %v", tt.header, key, err)
		}
	}
}

// Parts that read the same one behind the other are different contents.
func TestContentOf(t *testing.T) {
	seen := make(map[Content]string)
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"", "ab"}, {"ab", ""}, {"b", "a"}} {
		var list [][]byte
		for _, p := range parts {
			list = append(list, []byte(p))
		}
		c := ContentOf(list...)
		if c != ContentOf(list...) || seen[c] != "" {
			t.Errorf("%q is %q", parts, seen[c])
		}
		seen[c] = strings.Join(parts, "|") + "!"
	}
}

// FuzzKey takes whatever key a stranger names: a good one is its own and no other's.
func FuzzKey(f *testing.F) {
	f.Add("k", "l", "a")
	f.Add("", "\x00", "")
	f.Add("é\xff", strings.Repeat("k", 129), "\n")
	f.Fuzz(func(t *testing.T, one, other, content string) {
		key, err := Of([]string{one})
		if good := one != "" && len(one) <= MaxKey; good != (err == nil) || good && key != one {
			t.Fatalf("%q: %q, %v", one, key, err)
		}
		if err != nil {
			return
		}
		k := New(Config{}).App()
		of := ContentOf([]byte(content))
		turn, err := k.Take(context.Background(), Event, key, of, here)
		if err != nil || turn.Claim == nil {
			t.Fatalf("%q: %+v, %v", key, turn, err)
		}
		turn.Claim.Settle(Answer{ID: content, Body: []byte(other)})
		again, err := k.Take(context.Background(), Event, other, of, here)
		if known := again.Answer != nil; err != nil || known != (other == key) {
			t.Fatalf("%q after %q: %+v, %v", other, key, again, err)
		}
		if n, bytes := k.size(); n < 1 || n > 2 || bytes < int64(entryCost+len(key)) {
			t.Fatalf("%d keys, %d bytes", n, bytes)
		}
	})
}
