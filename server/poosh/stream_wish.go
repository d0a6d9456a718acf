package poosh

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// lastEventID is the header in which an EventSource says, when it comes back, the last id
// that it has seen.
const lastEventID = "Last-Event-Id"

var errQuery = errors.New("the query cannot be read: want /events?room=a&room=b")

// readStreamWish reads what a request for events asks for: room, once for each, and since,
// which means what it does in a join; see [wish]. Where an EventSource comes back, the id that
// it has seen counts for more: its address is still what it was at first.
func (c *Clients) readStreamWish(r *http.Request) (w wish, rooms []string, err error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return w, nil, errQuery
	}
	most := c.bounds.Load()
	rooms = slices.Clone(query["room"])
	for i, room := range rooms { // which is a part of the request's head, and would keep all of it
		rooms[i] = strings.ToValidUTF8(strings.Clone(room), "\uFFFD")
	}
	slices.Sort(rooms)
	rooms = slices.Compact(rooms)
	if len(rooms) > most.rooms {
		return w, nil, fmt.Errorf("%d rooms: want at most MAX_ROOMS, %d", len(rooms), most.rooms)
	}
	for _, room := range rooms {
		if len(room) > most.nameBytes {
			return w, nil, fmt.Errorf("%w: want at most MAX_ROOM_NAME_BYTES, %d", errLongName, most.nameBytes)
		}
	}
	w.since = true
	if seen := r.Header.Get(lastEventID); seen != "" {
		w.readPosition(seen)
	} else {
		w.readStreamSince(query.Get("since"))
	}
	return w, rooms, nil
}

// readStreamSince reads a position, a number of events or "all".
func (w *wish) readStreamSince(text string) {
	if n, err := strconv.ParseUint(text, 10, 64); err == nil && n > 0 {
		w.missed, w.last = true, int(min(n, math.MaxInt32))
		return
	}
	w.readWord(text)
}
