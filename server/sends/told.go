package sends

import (
	"encoding/json"
	"sync"
	"time"
)

// A told is a send as all share it who want the same of it. Nothing of it changes but by
// its methods, which may be called from any goroutine.
type told struct {
	Send
	judge  sync.Once // for hidden, which is Feed.hidden's
	hidden bool
	write  sync.Once // for text: by whoever needs it first
	text   []byte
}

// A verdict is what was found of a room: whether sends to it are hidden. It is never changed.
type verdict struct {
	dialect, app, room string
	hidden             bool
	at                 time.Time // of the send that it was found for
}

// hidden reports whether a send is not to be told. What was found of a room holds for what
// else is sent to it in a moment, so that a busy one is not looked through for each send.
//
// What was found to be hidden stays so. A room that was not may become that of one client
// meanwhile: who comes back after a break has the id that it had, and applications choose
// those of Socktopus' clients. What is sent to it is told then until the moment is over, by
// a name that was told already, as it is while the client is away.
func (f *Feed) hidden(t *told) bool {
	if f.hides == nil || t.Everyone {
		return false
	}
	t.judge.Do(func() {
		if v := f.judged.Load(); v != nil && v.holds(&t.Send) {
			t.hidden = v.hidden
			return
		}
		t.hidden = f.hides(&t.Send)
		f.judged.Store(&verdict{t.Dialect, t.App, t.Room, t.hidden, t.At})
	})
	return t.hidden
}

func (v *verdict) holds(s *Send) bool {
	return v.room == s.Room && v.dialect == s.Dialect && v.app == s.App && s.At.Sub(v.at).Abs() < pace
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
