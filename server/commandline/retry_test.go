package commandline

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var errBroken = errors.New("it is broken")

// follow waits longer and longer while there is no connection, and less again when there
// was one.
func TestFollowWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stderr bytes.Buffer
		l := &line{Program: Program{Stderr: &stderr}}
		var at []time.Time
		began := time.Now()
		err := l.follow(t.Context(), bounds{span: 10 * time.Minute}, "there", func(_ context.Context, up func(), _ func() error) error {
			at = append(at, time.Now())
			if len(at) == 12 {
				up()
			}
			return errBroken
		})
		if err != nil || time.Since(began) != 10*time.Minute {
			t.Errorf("it ended with %v after %v", err, time.Since(began))
		}
		var waits []time.Duration
		for i := range at[1:] {
			waits = append(waits, at[i+1].Sub(at[i]))
		}
		if waits[0] > time.Second || waits[11] > time.Second || waits[10] < 5*time.Second {
			t.Errorf("it waited %v", waits)
		}
		for _, w := range waits {
			if w > 2*mostPause || w < leastPause/4 {
				t.Errorf("it waited %v", w)
			}
		}
		if n := strings.Count(stderr.String(), "poosh: there: it is broken; connecting again in "); n < len(at)-1 {
			t.Errorf("it said so %d times of %d", n, len(at))
		}
	})
}

func TestFollowEnds(t *testing.T) {
	for name, row := range map[string]struct {
		bounds bounds
		once   func(ctx context.Context, up func(), printed func() error) error
		code   int
		says   string
	}{
		"enough": {bounds{count: 2}, func(_ context.Context, up func(), printed func() error) error {
			up()
			return errors.Join(printed(), printed())
		}, OK, ""},
		"of no use": {bounds{}, func(context.Context, func(), func() error) error { return &errFinal{refused, "no"} }, refused, "poosh: no\n"},
		"said":      {bounds{}, func(context.Context, func(), func() error) error { return ending(7) }, 7, ""},
		"too little": {bounds{count: 2, span: time.Second}, func(ctx context.Context, up func(), printed func() error) error {
			up()
			if err := printed(); err != nil {
				return err
			}
			<-ctx.Done()
			return ctx.Err()
		}, nobody, "poosh: 1 came in 1s, and not 2\n"},
		"never there": {bounds{span: time.Minute}, func(ctx context.Context, _ func(), _ func() error) error {
			<-ctx.Done()
			return ctx.Err()
		}, unreachable, "poosh: there was no connection to there in 1m0s\n"},
		"in time": {bounds{span: time.Second}, func(ctx context.Context, up func(), _ func() error) error {
			up()
			<-ctx.Done()
			return ctx.Err()
		}, OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var stderr bytes.Buffer
				l := &line{Program: Program{Stderr: &stderr}}
				err := l.follow(t.Context(), row.bounds, "there", row.once)
				code := OK
				var end ending
				if errors.As(err, &end) {
					code = int(end)
				} else if err != nil {
					t.Fatal(err)
				}
				if code != row.code || stderr.String() != row.says {
					t.Errorf("%d %q, want %d %q", code, stderr.String(), row.code, row.says)
				}
			})
		})
	}
}

// A signal ends it without a word, also while it waits.
func TestFollowEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stderr bytes.Buffer
		l := &line{Program: Program{Stderr: &stderr}}
		ctx, stop := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, stop)
		if err := l.follow(ctx, bounds{count: 5, span: time.Hour}, "there", func(context.Context, func(), func() error) error { return errBroken }); err != nil {
			t.Error(err)
		}
	})
}
