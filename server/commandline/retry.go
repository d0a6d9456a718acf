package commandline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/urfave/cli/v3"
)

// leastPause and mostPause bound how long is waited before a connection is opened anew:
// each wait is longer than the one before, and none is exactly as long as another's.
const (
	leastPause = 250 * time.Millisecond
	mostPause  = 15 * time.Second
)

// errEnough ends a command that has seen what it was to wait for.
var errEnough = errors.New("enough")

// errFinal says why it is of no use to connect anew, and carries the exit code.
type errFinal struct {
	code int
	why  string
}

func (e *errFinal) Error() string { return e.why }

// bounds are when a command that goes on ends by itself.
type bounds struct {
	count int           // of what it prints; 0 for no bound
	span  time.Duration // 0 for no bound
}

func boundFlags(what string) []cli.Flag {
	return []cli.Flag{
		&cli.IntFlag{Name: "count", Usage: "end after so many " + what},
		&cli.DurationFlag{Name: "for", Usage: "end after a time such as 30s"},
	}
}

func (l *line) bounds(c *cli.Command) (b bounds, err error) {
	b = bounds{c.Int("count"), c.Duration("for")}
	if b.count < 0 || b.span < 0 || c.IsSet("count") && b.count == 0 || c.IsSet("for") && b.span == 0 {
		return b, l.misused(c, "want a --count of 1 or more, and a --for such as 30s")
	}
	return b, nil
}

// follow has once keep up a connection until it is broken, and then again, with longer
// and longer waits while there is none. once calls up when it has what it wants, and
// printed for each thing that it prints, whose error it returns. follow ends with ctx or
// the bounds, or by an errFinal. host is whom it is about.
func (l *line) follow(ctx context.Context, b bounds, host string, once func(ctx context.Context, up func(), printed func() error) error) error {
	outer := ctx
	if b.span > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, b.span)
		defer cancel()
	}
	pauses := backoff.NewExponentialBackOff()
	pauses.InitialInterval, pauses.MaxInterval = leastPause, mostPause
	seen, connected := 0, false
	up := func() {
		connected = true
		pauses.Reset()
	}
	printed := func() error {
		if seen++; b.count > 0 && seen >= b.count {
			return errEnough
		}
		return nil
	}
	for {
		err := once(ctx, up, printed)
		var final *errFinal
		var ended ending
		switch {
		case errors.As(err, &ended): // who has said why
			return err
		case errors.Is(err, errEnough):
			return nil
		case errors.As(err, &final):
			return l.fail(final.code, "%s", final.why)
		case outer.Err() != nil: // a signal
			return nil
		case ctx.Err() == nil:
			wait := pauses.NextBackOff()
			l.complain("%s: %v; connecting again in %s", host, err, wait.Round(time.Millisecond))
			select {
			case <-ctx.Done():
			case <-time.After(wait):
				continue
			}
		}
		if outer.Err() != nil {
			return nil
		}
		return l.timeIsOver(b, seen, connected, host)
	}
}

// timeIsOver is the end of a command whose --for is over.
func (l *line) timeIsOver(b bounds, seen int, connected bool, host string) error {
	switch {
	case !connected:
		return l.fail(unreachable, "there was no connection to %s in %s", host, b.span)
	case b.count > 0:
		return l.fail(nobody, "%s came in %s, and not %d", fmt.Sprint(seen), b.span, b.count)
	}
	return nil
}
