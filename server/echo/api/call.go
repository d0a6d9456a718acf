package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"runtime/metrics"
	"strings"
	"time"

	"poosh/server/admission"
	"poosh/server/http1"
	"poosh/server/hub"
	"poosh/server/quota"
	"poosh/server/respond"
	"poosh/server/route"
	"poosh/server/sends"
)

// patience bounds how long the dialect may take to know what is asked.
const patience = 5 * time.Second

// A call is one request of somebody with a key.
type call struct {
	*API
	rules *Config
	w     http.ResponseWriter
	r     *http.Request
	ctx   context.Context // ends with the request, or after some time
}

// What is said of more than one request.
var (
	errKey     = &Error{Status: http.StatusForbidden, Text: "Unauthorized"}
	errMembers = &Error{Status: http.StatusBadRequest, Text: "User list is only possible for Presence Channels"}
	errEvent   = &Error{Status: http.StatusBadRequest, Text: "Event must include channel, event name and data"}
	errGone    = &Error{Status: http.StatusRequestTimeout, Text: "the body did not arrive"}
)

// keyed has a handler answer those who show the key of the app. It may wait for other
// processes, so it never runs on a loop.
func (a *API) keyed(handle func(*call) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if http1.Aside(w) {
			return
		}
		a.cors(w)
		http1.CountFor(w, a.traffic)
		rules := a.rules.Load()
		if !rules.mayAsk(route.Param(r, "app"), r) {
			a.fail(w, errKey)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		if err := handle(&call{API: a, rules: rules, w: w, r: r, ctx: ctx}); err != nil {
			a.fail(w, err)
		}
	}
}

// fail answers with an error.
func (a *API) fail(w http.ResponseWriter, err error) {
	no := asError(err)
	if no.Status == http.StatusServiceUnavailable && !errors.Is(err, hub.ErrUncertain) { // what may be out is not for trying again
		w.Header().Set("Retry-After", "1")
	}
	text := respond.Error{Text: no.Text}
	if no.Cause != "" {
		a.answer(w, no.Status, sends.Refused{Error: text, Cause: no.Cause})
		return
	}
	a.answer(w, no.Status, text)
}

// answer answers with a value.
func (a *API) answer(w http.ResponseWriter, code int, value any) {
	a.counts.Add(statusOf(code), 1)
	form.JSON(w, code, value)
}

// asError finds the answer to an error.
func asError(err error) *Error {
	var said *Error
	switch {
	case errors.As(err, &said):
		return said
	case errors.Is(err, hub.ErrFull), errors.Is(err, hub.ErrAway), errors.Is(err, hub.ErrUncertain),
		errors.Is(err, admission.ErrOverloaded), errors.Is(err, admission.ErrAway), errors.Is(err, admission.ErrClosed), errors.Is(err, quota.ErrFull):
		return &Error{Status: http.StatusServiceUnavailable, Text: err.Error()}
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &Error{Status: http.StatusServiceUnavailable, Text: "the answer takes too long"}
	}
	return &Error{Status: http.StatusServiceUnavailable, Text: "the server cannot answer now"}
}

// isPresence reports whether a channel has members, as src/channels/channel.ts tells it.
func isPresence(channel string) bool { return strings.HasPrefix(channel, "presence-") }

// status says how many are connected. Sizes are those of this process.
func (c *call) status() error {
	n, err := c.dialect.Connections(c.ctx)
	if err != nil {
		return err
	}
	type memory struct {
		RSS     uint64 `json:"rss"`
		Total   uint64 `json:"heapTotal"`
		Used    uint64 `json:"heapUsed"`
		Outside uint64 `json:"external"`
		Buffers uint64 `json:"arrayBuffers"`
	}
	all, heap, free, objects := runtimeBytes()
	c.answer(c.w, http.StatusOK, struct {
		Count  int     `json:"subscription_count"`
		Uptime float64 `json:"uptime"`
		Memory memory  `json:"memory_usage"`
	}{n, time.Since(c.started).Seconds(), memory{RSS: all - free, Total: heap, Used: objects, Outside: all - free - heap}})
	return nil
}

// runtimeBytes returns what the runtime has: all, the heap's, what of all it has given back,
// and live objects.
func runtimeBytes() (all, heap, free, objects uint64) {
	s := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(s)
	objects = s[1].Value.Uint64()
	return s[0].Value.Uint64(), objects + s[2].Value.Uint64(), s[3].Value.Uint64(), objects
}

// A count is a channel as its list has it.
type count struct {
	Count    int  `json:"subscription_count"`
	Occupied bool `json:"occupied"`
}

// channels lists the channels that somebody is in. It is written as it is read, and a list that
// breaks off is no JSON.
func (c *call) channels() error {
	prefix := c.r.URL.Query().Get("filter_by_prefix")
	body := []byte(`{"channels":{`)
	begun := false
	for ch, err := range c.dialect.Channels(c.ctx, prefix) {
		switch {
		case err != nil && begun:
			panic(http.ErrAbortHandler) // the status is out, and a short list would be a lie
		case err != nil:
			return err
		case ch.Count == 0:
			continue
		}
		if body[len(body)-1] != '{' {
			body = append(body, ',')
		}
		body = append(append(body, form.Body(ch.Name)...), ':')
		body = append(body, form.Body(count{ch.Count, true})...)
		if len(body) >= chunk {
			c.begin(&begun)
			_, _ = c.w.Write(body[:len(body)-1])
			body = append(body[:0], '}')
		}
	}
	c.begin(&begun)
	_, _ = c.w.Write(append(body, "}}"...))
	return nil
}

// chunk is how much of a list is written at once, in bytes.
const chunk = 32 << 10

// begin writes the head of a list, once.
func (c *call) begin(begun *bool) {
	if *begun {
		return
	}
	*begun = true
	c.counts.Add(statusOf(http.StatusOK), 1)
	c.w.Header().Set("Content-Type", form.Type)
	c.w.WriteHeader(http.StatusOK)
}

// channel says how many are in one channel.
func (c *call) channel() error {
	name := route.Param(c.r, "channel")
	ch, err := c.dialect.Channel(c.ctx, name)
	if err != nil {
		return err
	}
	of := count{ch.Count, ch.Count > 0}
	if !isPresence(name) {
		c.answer(c.w, http.StatusOK, of)
		return nil
	}
	c.answer(c.w, http.StatusOK, struct {
		Count    int  `json:"subscription_count"`
		Occupied bool `json:"occupied"`
		Users    int  `json:"user_count"`
	}{of.Count, of.Occupied, ch.Users})
	return nil
}

// users lists who is in a presence channel.
func (c *call) users() error {
	name := route.Param(c.r, "channel")
	if !isPresence(name) {
		return errMembers
	}
	members, err := c.dialect.Members(c.ctx, name)
	if err != nil {
		return err
	}
	type user struct {
		ID   json.RawMessage `json:"id"`
		Info json.RawMessage `json:"user_info,omitempty"`
	}
	list := make([]user, 0, len(members))
	for _, m := range members {
		list = append(list, user{m.UserID, m.Info})
	}
	c.answer(c.w, http.StatusOK, struct {
		Users []user `json:"users"`
	}{list})
	return nil
}
