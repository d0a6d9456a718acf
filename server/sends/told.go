package sends

import (
	"encoding/json"
	"sync"
)

// A told is a send as all who watch share it. Nothing of it changes but by its methods,
// which may be called from any goroutine.
type told struct {
	Send
	judge  sync.Once // for hidden
	hidden bool
	with   text // the payload
	out    text // without it
}

// A text is made once, by whoever needs it first.
type text struct {
	make sync.Once
	json []byte
}

// hides reports whether the feed hides it.
func (t *told) hides(by func(*Send) bool) bool {
	if by == nil {
		return false
	}
	t.judge.Do(func() { t.hidden = by(&t.Send) })
	return t.hidden
}

// json is the send as watchers over HTTP read it.
func (t *told) json(payload bool) []byte {
	of := &t.out
	if payload {
		of = &t.with
	}
	of.make.Do(func() {
		l := t.line()
		if !payload {
			l.Payload = nil
		}
		data, err := json.Marshal(l)
		if err != nil { // a payload that is no JSON
			l.Payload = nil
			data, _ = json.Marshal(l)
		}
		of.json = data
	})
	return of.json
}
