package sends

import (
	"encoding/json"
	"sync"
)

// A told is a send as all share it who want the same of it. Nothing of it changes but by
// its methods, which may be called from any goroutine.
type told struct {
	Send
	judge  sync.Once // for hidden
	hidden bool
	write  sync.Once // for text: by whoever needs it first
	text   []byte
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
func (t *told) json() []byte {
	t.write.Do(func() {
		l := t.line()
		data, err := json.Marshal(l)
		if err != nil { // a payload that is no JSON
			l.Payload = nil
			data, _ = json.Marshal(l)
		}
		t.text = data
	})
	return t.text
}
