package api

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"poosh/server/hub"
	"poosh/server/pusher/answer"
	"poosh/server/pusher/app"
	"poosh/server/pusher/protocol"
)

// maxPage is how many events are told of in one answer (Sockudo, max_page_size).
const maxPage = 100

var errNoHistory = &answer.Error{Status: http.StatusUnprocessableEntity, Code: "feature_disabled", Text: "nothing is kept for this app: set its history, or PUSHER_HISTORY"}

// A page is what is asked for of a channel's history. Bounds include what they name.
type page struct {
	limit          int
	oldestFirst    bool
	direction      string // as it is answered
	serials, times [2]uint64
	given          [4]bool // start_serial, end_serial, start_time_ms, end_time_ms
	cursor         uint64  // the serial of the last event of the page before; 0 for the first page
	cursorStream   string
}

var boundNames = [4]string{"start_serial", "end_serial", "start_time_ms", "end_time_ms"}

// readPage reads the query.
func (c *call) readPage() (page, error) {
	p := page{limit: maxPage, direction: "newest_first", serials: [2]uint64{0, math.MaxUint64}, times: [2]uint64{0, math.MaxUint64}}
	if text, ok := c.query.Get("limit"); ok {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || n == 0 {
			return p, answer.Invalid("limit is %s: want a number from 1 to %d", protocol.Shown(text), maxPage)
		}
		p.limit = int(min(n, maxPage))
	}
	switch text, _ := c.query.Get("direction"); text {
	case "", "newest_first", "backwards":
	case "oldest_first", "forwards":
		p.oldestFirst, p.direction = true, "oldest_first"
	default:
		return p, answer.Invalid("direction is %s: want newest_first or oldest_first", protocol.Shown(text))
	}
	for i, at := range []*uint64{&p.serials[0], &p.serials[1], &p.times[0], &p.times[1]} {
		text, ok := c.query.Get(boundNames[i])
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return p, answer.Invalid("%s is %s: want a number", boundNames[i], protocol.Shown(text))
		}
		*at, p.given[i] = n, true
	}
	if text, ok := c.query.Get("cursor"); ok {
		stream, serial, _ := strings.Cut(text, ":")
		n, err := strconv.ParseUint(serial, 10, 64)
		if err != nil || n == 0 {
			return p, answer.Invalid("cursor is %s: want the next_cursor of an answer", protocol.Shown(text))
		}
		p.cursor, p.cursorStream = n, stream
	}
	return p, nil
}

// ask is what is read of the channel for the page.
func (p *page) ask() app.PageAsk {
	a := app.PageAsk{After: max(p.serials[0], 1) - 1, UpTo: p.serials[1], OldestFirst: p.oldestFirst, Limit: p.limit}
	if p.given[2] {
		a.From = momentOf(p.times[0])
	}
	if p.given[3] {
		a.Before = momentOf(min(p.times[1], lastMoment-1) + 1)
	}
	switch {
	case p.cursor == 0:
	case p.oldestFirst:
		a.After = max(a.After, p.cursor)
	default:
		a.UpTo = min(a.UpTo, p.cursor-1)
	}
	return a
}

// places are where another process may have been that told of them. Behind the serial before start_serial
// who asks knows nothing.
func (p *page) places() (list []hub.Position) {
	if epoch, ok := protocol.ParseStreamID(p.cursorStream); ok {
		list = append(list, hub.Position{Epoch: epoch, Number: p.cursor})
	}
	for i, serial := range p.serials {
		if p.given[i] {
			list = append(list, hub.Position{Number: max(serial, 1) - uint64(1-i)})
		}
	}
	return list
}

// comeTo waits until this process has come to places that another one told of, for a time that the hub
// bounds. What is asked for then is answered as things are.
func (c *call) comeTo(places []hub.Position) error {
	if !c.app.Ahead(places) {
		return nil
	}
	if c.aside() {
		return errElsewhere
	}
	come := make(chan struct{})
	if c.app.Await(places, func() { close(come) }) {
		select {
		case <-come:
		case <-c.ctx.Done(): // who asked has gone
		}
	}
	return nil
}

// lastMoment is behind every time that anything was published at, in milliseconds.
const lastMoment = 1 << 50

func momentOf(ms uint64) time.Time { return time.UnixMilli(int64(min(ms, lastMoment))) }

// history tells of the events of a channel that are kept, in Sockudo's form. A cursor is good
// with the parameters of the request that gave it.
func (c *call) history() (reply, error) {
	if !protocol.ValidChannel(c.of) {
		return nil, badChannel(c.of)
	}
	if !c.app.Keeps() {
		return nil, errNoHistory
	}
	p, err := c.readPage()
	if err != nil {
		return nil, err
	}
	if err := c.comeTo(p.places()); err != nil {
		return nil, err
	}
	kept := c.app.Page(c.of, p.ask())
	if stream := protocol.StreamID(kept.Head.Epoch); p.cursor > 0 && p.cursorStream != stream {
		return nil, answer.Invalid("cursor is of another stream: what it goes on from is gone, begin anew")
	}
	return func(yield func([]byte) bool) {
		b := []byte(`{"items":[`)
		for _, k := range kept.List {
			if !yield(appendItem(b, k)) {
				return
			}
			b = append(b[:0], ',')
		}
		end := []byte(`],"direction":"` + p.direction + `","limit":` + strconv.Itoa(p.limit) + `,"has_more":` + strconv.FormatBool(kept.More) + `,"next_cursor":`)
		if kept.More {
			last := kept.List[len(kept.List)-1].At
			end = append(end, `"`+protocol.StreamID(last.Epoch)+":"+strconv.FormatUint(last.Number, 10)+`"`...)
		} else {
			end = append(end, "null"...)
		}
		end = p.appendBounds(end)
		yield(ended(b, string(appendContinuity(end, &kept))+"}"))
	}, nil
}

func (p *page) appendBounds(b []byte) []byte {
	values := [4]uint64{p.serials[0], p.serials[1], p.times[0], p.times[1]}
	before := `,"bounds":{"`
	for i, name := range boundNames {
		b = append(b, before+name+`":`...)
		before = `,"`
		if p.given[i] {
			b = strconv.AppendUint(b, values[i], 10)
		} else {
			b = append(b, "null"...)
		}
	}
	return append(b, '}')
}

func appendItem(b []byte, k *hub.Kept) []byte {
	place := `"message_id":"` + protocol.MessageID(k.At) + `","stream_id":"` + protocol.StreamID(k.At.Epoch) + `","serial":` + strconv.FormatUint(k.At.Number, 10)
	b = append(append(append(b, '{'), place...), `,"event_name":`...)
	b = protocol.AppendString(b, k.Event)
	b = append(b, `,"operation_kind":"append","published_at_ms":`...)
	b = strconv.AppendInt(b, k.Entered.UnixMilli(), 10)
	b = append(appendInt(append(b, `,"payload_size_bytes":`...), len(k.Data)), `,"message":{"event":`...)
	b = protocol.AppendString(b, k.Event)
	b = protocol.AppendString(append(b, `,"channel":`...), k.Room)
	b = append(append(b, `,"data":`...), k.Data...)
	if k.Meta != "" {
		b = protocol.AppendString(append(b, `,"user_id":`...), k.Meta)
	}
	return append(append(append(b, ','), place...), "}}"...)
}

// appendContinuity tells what is kept, and whether the answer is complete: all there ever was.
func appendContinuity(b []byte, p *app.Page) []byte {
	b = append(b, `,"continuity":{"stream_id":"`+protocol.StreamID(p.Head.Epoch)+`","complete":`+strconv.FormatBool(p.Whole && len(p.List) == p.Events)+
		`,"truncated_by_retention":`+strconv.FormatBool(!p.Whole)...)
	if oldest, newest := p.Oldest, p.Newest; oldest != nil {
		for _, at := range []struct {
			name  string
			value int64
		}{
			{"oldest_available_serial", int64(oldest.At.Number)}, {"newest_available_serial", int64(newest.At.Number)},
			{"oldest_available_published_at_ms", oldest.Entered.UnixMilli()}, {"newest_available_published_at_ms", newest.Entered.UnixMilli()},
		} {
			b = strconv.AppendInt(append(b, `,"`+at.name+`":`...), at.value, 10)
		}
	} else {
		b = append(b, `,"oldest_available_serial":null,"newest_available_serial":null,"oldest_available_published_at_ms":null,"newest_available_published_at_ms":null`...)
	}
	b = appendInt(append(b, `,"retained_messages":`...), p.Events)
	return append(appendInt(append(b, `,"retained_bytes":`...), p.Bytes), '}')
}
