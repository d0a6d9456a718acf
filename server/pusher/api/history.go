package api

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"poosh/server/hub"
	"poosh/server/pusher/answer"
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

// pick returns the events of the page in their order, of all that are kept, and whether
// there are more.
func (p *page) pick(list []*hub.Kept) (picked []*hub.Kept, more bool) {
	list = slices.Clone(list)
	if !p.oldestFirst {
		slices.Reverse(list)
	}
	for _, k := range list {
		n, ms := k.At.Number, uint64(k.Entered.UnixMilli())
		switch {
		case n < p.serials[0] || n > p.serials[1] || ms < p.times[0] || ms > p.times[1]:
			continue
		case p.cursor > 0 && (p.oldestFirst && n <= p.cursor || !p.oldestFirst && n >= p.cursor):
			continue
		}
		if len(picked) == p.limit {
			return picked, true
		}
		picked = append(picked, k)
	}
	return picked, false
}

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
	head, x := c.app.Kept(c.of)
	if stream := protocol.StreamID(head.Epoch); p.cursor > 0 && p.cursorStream != stream {
		return nil, answer.Invalid("cursor is of another stream: what it goes on from is gone, begin anew")
	}
	picked, more := p.pick(x.List)
	return func(yield func([]byte) bool) {
		b := []byte(`{"items":[`)
		for _, k := range picked {
			if !yield(appendItem(b, k)) {
				return
			}
			b = append(b[:0], ',')
		}
		end := []byte(`],"direction":"` + p.direction + `","limit":` + strconv.Itoa(p.limit) + `,"has_more":` + strconv.FormatBool(more) + `,"next_cursor":`)
		if more {
			last := picked[len(picked)-1].At
			end = append(end, `"`+protocol.StreamID(last.Epoch)+":"+strconv.FormatUint(last.Number, 10)+`"`...)
		} else {
			end = append(end, "null"...)
		}
		end = p.appendBounds(end)
		yield(ended(b, string(appendContinuity(end, head, x, more))+"}"))
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

// appendContinuity tells what is kept, and whether the answer is all there ever was.
func appendContinuity(b []byte, head hub.Position, x hub.Excerpt, more bool) []byte {
	b = append(b, `,"continuity":{"stream_id":"`+protocol.StreamID(head.Epoch)+`","complete":`+strconv.FormatBool(x.Whole && !more)+
		`,"truncated_by_retention":`+strconv.FormatBool(!x.Whole)...)
	if n := len(x.List); n > 0 {
		oldest, newest := x.List[0], x.List[n-1]
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
	bytes := 0
	for _, k := range x.List {
		bytes += len(k.Data)
	}
	b = appendInt(append(b, `,"retained_messages":`...), len(x.List))
	return append(appendInt(append(b, `,"retained_bytes":`...), bytes), '}')
}
