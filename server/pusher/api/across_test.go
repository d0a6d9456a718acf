package api

import (
	"errors"
	"testing"

	"poosh/server/hub"
	"poosh/server/pusher/answer"
)

// Whatever the order in which it becomes known what became of the events of a request: where one may have been
// published, its sender is not told to try again.
func TestNobodyKnowsWhatWasPublished(t *testing.T) {
	for _, c := range []struct {
		became [][]error // of each event in each of its channels
		want   error
	}{
		{[][]error{{nil, nil}}, nil},
		{[][]error{{hub.ErrAway, hub.ErrAway}}, hub.ErrAway},
		{[][]error{{hub.ErrAway}, {hub.ErrFull}}, hub.ErrAway},
		{[][]error{{nil, hub.ErrAway}}, hub.ErrUncertain},
		{[][]error{{hub.ErrAway, nil}}, hub.ErrUncertain},
		{[][]error{{nil}, {hub.ErrAway}}, hub.ErrUncertain},
		{[][]error{{hub.ErrUncertain, hub.ErrAway}}, hub.ErrUncertain},
		{[][]error{{hub.ErrAway, hub.ErrUncertain}}, hub.ErrUncertain},
		{[][]error{{hub.ErrUncertain}, {hub.ErrAway}}, hub.ErrUncertain},
		{[][]error{{hub.ErrAway}, {hub.ErrUncertain}}, hub.ErrUncertain},
	} {
		events := make([]event, len(c.became))
		for place, channels := range c.became {
			events[place].channels = make([]string, len(channels))
		}
		h := newHanding(events)
		for place, channels := range c.became {
			for _, err := range channels {
				h.one[place](hub.Handed{Took: -1, Err: err})
			}
		}
		_, err := h.outcome()
		if !errors.Is(err, c.want) {
			t.Errorf("%v: %v, want %v", c.became, err, c.want)
		}
		if err == nil {
			continue
		}
		if retry := answer.As(err).Retry > 0; retry == errors.Is(err, hub.ErrUncertain) {
			t.Errorf("%v: its sender is told to try again: %v", err, retry)
		}
	}
}

// Nobody at all is a number, and not what nobody knows.
func TestHandingTellsNobodyFromUnknown(t *testing.T) {
	for _, row := range []struct {
		took []int
		want int
	}{{[]int{0}, 0}, {[]int{2, 0, 1}, 3}, {[]int{-1}, -1}, {[]int{2, -1, 1}, -1}} {
		h := newHanding([]event{{channels: make([]string, len(row.took))}, {keyed: &keyed{like: new(keyed)}, channels: []string{"not sent"}}})
		for _, n := range row.took {
			h.one[0](hub.Handed{Took: n})
		}
		if became, err := h.outcome(); err != nil || became[0].Took != row.want {
			t.Errorf("%v: %+v, %v, want %d", row.took, became, err, row.want)
		}
	}
}
