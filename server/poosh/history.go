package poosh

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"

	"poosh/server/guard"
	"poosh/server/http1"
	"poosh/server/hub"
	"poosh/server/respond"
	"poosh/server/rotation"
)

// historyPath is where senders read what is kept of a room.
const historyPath = "/history"

// How much one page has.
const (
	usualPage    = 100
	maxPage      = 1000
	maxPageBytes = 1 << 20 // of events, as they stand in it, unless the first alone has more
)

// history answers GET /history, to who has signed its path and query: a page of the events
// that are kept of a room, or of those to everyone.
func (a *API) history(w http.ResponseWriter, r *http.Request) {
	token, why := a.head(r)
	if why == accepted {
		why = a.signed(r, token)
	}
	if why != accepted {
		a.refuse(w, r, nil, why, nil)
		return
	}
	ask, err := readPageAsk(r.URL.RawQuery)
	if err != nil {
		a.refuse(w, r, nil, badPage, nil)
		return
	}
	a.traffic.Requested(0)
	remote, debug := r.RemoteAddr, a.log.Enabled(r.Context(), slog.LevelDebug)
	if !a.hub.Ahead(App, ask.After) {
		w.Header().Set("Cache-Control", "no-store")
		respond.Go.Bytes(w, http.StatusOK, a.page(&ask, remote, debug))
		return
	}
	http1.AnswerLater(w, r, func(answer func(int, http.Header, []byte)) {
		read := func() {
			answer(http.StatusOK, http.Header{"Content-Type": jsonType, "Cache-Control": {"no-store"}}, a.page(&ask, remote, debug))
		}
		later := func() {
			if !guard.Call(a.log, "the history is read", read) {
				answer(http.StatusInternalServerError, nil, nil) // nothing else would end the request
			}
		}
		if !a.hub.Await(App, []hub.Position{ask.After}, netip.Addr{}, later) {
			read()
		}
	})
}

// page is what is kept of a room, as JSON.
func (a *API) page(ask *hub.PageAsk, remote string, debug bool) []byte {
	p := a.hub.Page(App, *ask)
	body := pageBody(ask, &p)
	if debug {
		a.log.LogAttrs(context.Background(), slog.LevelDebug, "history read", slog.Bool("everyone", ask.Everyone),
			slog.String("room", clip(ask.Room)), slog.Int("events", len(p.List)), slog.Int("bytes", len(body)), slog.String("remote", remote))
	}
	return body
}

// signed judges the token of a request without a body.
func (a *API) signed(r *http.Request, token string) reason {
	by, path := a.rules.Load(), r.URL.RequestURI()
	switch {
	case by.check.VerifyPath(path, token) == nil:
		return accepted
	case by.previous != nil && by.previous.VerifyPath(path, token) == nil:
		a.previous.Used(rotation.Sender, r.RemoteAddr)
		return accepted
	}
	return badToken
}

var errPage = errors.New("not a page of the history")

// readPageAsk reads the query of a request for a page: room, since and limit, each once at
// the most. As in a send, no room at all is everyone.
func readPageAsk(text string) (ask hub.PageAsk, err error) {
	query, err := url.ParseQuery(text)
	if err != nil {
		return ask, errPage
	}
	for name, values := range query {
		if len(values) > 1 || name != "room" && name != "since" && name != "limit" {
			return ask, errPage
		}
	}
	ask = hub.PageAsk{Room: query.Get("room"), Everyone: !query.Has("room"), Limit: usualPage}
	if query.Has("limit") {
		if ask.Limit, err = strconv.Atoi(query.Get("limit")); err != nil || ask.Limit < 1 || ask.Limit > maxPage {
			return ask, errPage
		}
	}
	switch since := query.Get("since"); since {
	case "":
	case "all":
		ask.Since = true
	default:
		ask.Since = true
		var ok bool
		if ask.After, ok = hub.ParsePosition(since); !ok {
			return ask, errPage
		}
	}
	return ask, nil
}

// fit makes the events of a page, and cuts it to what one answer may have: of the newest, the
// oldest go, and of what came behind a position, the newest, which the next page has.
func fit(ask *hub.PageAsk, p *hub.Page) (events [][]byte) {
	size, all := 0, len(p.List)
	for len(events) < all {
		k := p.List[len(events)]
		if !ask.Since {
			k = p.List[all-1-len(events)]
		}
		event := appendKept(nil, k)
		if size += len(event); size > maxPageBytes && len(events) > 0 {
			break
		}
		events = append(events, event)
	}
	n := len(events)
	if ask.Since {
		p.List, p.More = p.List[:n], p.More || n < all
		return events
	}
	p.List, p.Whole = p.List[all-n:], p.Whole && n == all
	slices.Reverse(events)
	return events
}

// pageBody is a page as JSON. Payloads stand in it as their senders spelled them.
func pageBody(ask *hub.PageAsk, p *hub.Page) []byte {
	events := fit(ask, p)
	at := p.Head
	if p.More {
		at = p.List[len(p.List)-1].At
	}
	var b []byte
	b = append(b, `{"room":`...)
	if ask.Everyone {
		b = append(b, "null"...)
	} else {
		b = appendText(b, ask.Room)
	}
	b = appendText(append(b, `,"id":`...), at.String())
	b = strconv.AppendBool(append(b, `,"complete":`...), p.Whole)
	b = strconv.AppendBool(append(b, `,"more":`...), p.More)
	b = append(b, `,"events":[`...)
	for i, event := range events {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, event...)
	}
	return append(b, "]}"...)
}

// appendKept appends one event of a page.
func appendKept(b []byte, k *hub.Kept) []byte {
	b = appendText(append(b, `{"id":`...), k.At.String())
	b = append(b, `,"time":"`...)
	b = k.Entered.UTC().AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = appendText(append(b, `","event":`...), k.Event)
	b = append(append(b, `,"payload":`...), k.Data...)
	if k.Except != "" && !k.Narrowed {
		b = appendText(append(b, `,"except":`...), k.Except)
	}
	if u, ok := k.Union(); ok { // rooms of an event for several, and whom it was not for
		b = appendTexts(append(b, `,"to":{"rooms":`...), u.Rooms)
		b = append(appendTexts(append(b, `,"except":`...), u.Except), '}')
	}
	return append(b, '}')
}

func appendTexts(b []byte, texts []string) []byte {
	b = append(b, '[')
	for i, text := range texts {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, text)
	}
	return append(b, ']')
}

func appendText(b []byte, text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a text is always JSON
	}
	return append(b, quoted...)
}
