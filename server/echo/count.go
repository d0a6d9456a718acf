package echo

import (
	"context"
	"encoding/json"
	"iter"
	"maps"
	"slices"

	"poosh/server/hub"
	"poosh/server/presence"
)

// The engine of a cluster counts the connections of presence channels alone, since nobody has to be
// asked about the others before a client is in them. Of these the processes ask each other.

// busKind is the dialect's kind on the [presence.Bus].
const busKind byte = 'e'

// pageBytes bounds the names in one answer of a process; one is always in it.
const pageBytes = 64 << 10

// A countQuestion asks how many are in one channel, or in those whose names begin with a prefix and
// come behind another one.
type countQuestion struct {
	Channel string `json:",omitempty"`
	Prefix  string `json:",omitempty"`
	After   string `json:",omitempty"`
}

// A countAnswer is what one process knows, in the order of the names.
type countAnswer struct {
	Names  []string `json:",omitempty"`
	Counts []int
	More   bool `json:",omitempty"` // there are channels behind the last one
}

// answerCount is for [presence.Bus].
func (d *Dialect) answerCount(_ string, body []byte) []byte {
	var q countQuestion
	if json.Unmarshal(body, &q) != nil {
		return nil
	}
	var a countAnswer
	if q.Channel != "" {
		n, _ := d.hub.Count(App, q.Channel)
		a.Counts = []int{n}
	} else {
		a = d.page(q)
	}
	text, err := json.Marshal(&a)
	if err != nil {
		return nil
	}
	return text
}

// askAll asks all processes. Where one does not answer there is no count that would be true.
func (d *Dialect) askAll(ctx context.Context, q countQuestion) (list []countAnswer, err error) {
	body, err := json.Marshal(&q)
	if err != nil {
		return nil, err
	}
	answers, silent := d.process.Bus.Ask(ctx, busKind, body)
	if len(silent) > 0 || len(answers) == 0 {
		return nil, presence.ErrAway
	}
	for _, text := range answers {
		var a countAnswer
		if json.Unmarshal(text, &a) != nil || q.Channel == "" && len(a.Names) != len(a.Counts) {
			return nil, presence.ErrAway
		}
		list = append(list, a)
	}
	return list, nil
}

// sum is how many are in a channel in all processes.
func (d *Dialect) sum(ctx context.Context, channel string) (n int, err error) {
	list, err := d.askAll(ctx, countQuestion{Channel: channel})
	for _, a := range list {
		for _, here := range a.Counts {
			n += here
		}
	}
	return n, err
}

// everywhere yields the channels of all processes, in the order of their names; an error is the last.
func (d *Dialect) everywhere(ctx context.Context, prefix string) iter.Seq2[hub.RoomCount, error] {
	return func(yield func(hub.RoomCount, error) bool) {
		for after, more := "", true; more; {
			list, err := d.askPage(ctx, countQuestion{Prefix: prefix, After: after})
			if err != nil {
				yield(hub.RoomCount{}, err)
				return
			}
			var all map[string]int
			all, after, more = merge(list)
			for _, name := range slices.Sorted(maps.Keys(all)) {
				if !yield(hub.RoomCount{Room: name, Connections: all[name]}, nil) {
					return
				}
			}
		}
	}
}

// maxLists bounds the questions about all channels that are answered at once: for the first of a list every process
// walks all that it has. It is held for as long as a question takes, and not while somebody reads a list.
const maxLists = 2

// list waits for the turn of a question about all channels, which ends with listed.
func (d *Dialect) list(ctx context.Context) error {
	select {
	case d.lists <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *Dialect) listed() { <-d.lists }

// askPage is askAll, in its turn.
func (d *Dialect) askPage(ctx context.Context, q countQuestion) ([]countAnswer, error) {
	if err := d.list(ctx); err != nil {
		return nil, err
	}
	defer d.listed()
	return d.askAll(ctx, q)
}

// merge adds up what processes have answered, as far as all of them have: up to the name upTo where
// one has more.
func merge(list []countAnswer) (all map[string]int, upTo string, more bool) {
	for _, a := range list {
		if a.More && len(a.Names) > 0 {
			if last := a.Names[len(a.Names)-1]; !more || last < upTo {
				upTo, more = last, true
			}
		}
	}
	all = make(map[string]int)
	for _, a := range list {
		for i, name := range a.Names {
			if !more || name <= upTo {
				all[name] += a.Counts[i]
			}
		}
	}
	return all, upTo, more
}
