package pusher

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"poosh/auth"
	"poosh/server/admission"
)

// The attributes of a channel that can be asked for.
const (
	infoUsers       = "user_count"
	infoConnections = "subscription_count"
	infoCache       = "cache"
)

// parseInfo reads a list of attributes with commas between. Unknown ones are
// refused in the words that the libraries' tests look for.
func parseInfo(text string, known ...string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	list := strings.Split(text, ",")
	for i, name := range list {
		list[i] = strings.TrimSpace(name)
		if !slices.Contains(known, list[i]) {
			return nil, invalid("info should be a comma separated list of attributes, which are %s; %s is none",
				strings.Join(known, ", "), shown(list[i]))
		}
	}
	return list, nil
}

// An eventRequest is the body of a request to publish, or one item of a batch. It
// refers to that body.
type eventRequest struct {
	name     string
	data     auth.Value // absent when it is missing
	channels []string   // of the one field or the other
	socketID string
	info     string
}

var eventNames = []string{"name", "socket_id", "info", "channel", "channels", "data"}

// parseEvent reads a request to publish to at most so many channels, which it looks
// at no further than that. Fields that nobody knows are ignored.
func parseEvent(body []byte, maxChannels int) (eventRequest, error) {
	var r eventRequest
	var values [6]auth.Value
	if pick(body, eventNames, values[:]) != nil {
		return r, errBadBody
	}
	var channel string
	for i, at := range []*string{&r.name, &r.socketID, &r.info, &channel} {
		text, ok := textOf(values[i])
		if !ok {
			return r, wrongKind(eventNames[i], values[i])
		}
		*at = text
	}
	r.data = values[5]
	var err error
	if r.channels, err = parseChannels(values[4], maxChannels); err != nil {
		return r, err
	}
	if len(r.channels) == 0 && channel != "" {
		r.channels = []string{channel}
	}
	return r, nil
}

// parseChannels reads a list of channels, or one.
func parseChannels(v auth.Value, most int) ([]string, error) {
	switch v.Kind() {
	case auth.Absent, auth.Null:
		return nil, nil
	case auth.String:
		text, _ := textOf(v)
		return []string{text}, nil
	case auth.Array:
	default:
		return nil, wrongKind("channels", v)
	}
	var list []string
	for one := range elements(v) {
		if len(list) == most {
			return nil, overLimit("more than %d channels in one event; the limit is the app's max_channels_per_event", most)
		}
		if one.Kind() != auth.String {
			return nil, wrongKind("a channel", one)
		}
		text, _ := textOf(one)
		list = append(list, text)
	}
	return list, nil
}

// elements yields the elements of an array, one at a time: there may be millions
// where a few are allowed.
func elements(array auth.Value) iter.Seq[auth.Value] {
	return func(yield func(auth.Value) bool) {
		dec := json.NewDecoder(bytes.NewReader(array.Bytes()))
		_, _ = dec.Token() // the bracket; the array is known to be well-formed
		for dec.More() {
			var raw json.RawMessage
			if dec.Decode(&raw) != nil {
				return
			}
			v, err := auth.Parse(raw)
			if err != nil || !yield(v) {
				return
			}
		}
	}
}

// wrongKind says that a field has a value of a kind that it may not have.
func wrongKind(field string, v auth.Value) error {
	kind := map[auth.Kind]string{auth.Null: "null", auth.Bool: "boolean", auth.Number: "number", auth.String: "string",
		auth.Array: "array", auth.Object: "object"}[v.Kind()]
	return invalid("%s may not be a JSON %s", field, kind)
}

// An event is a request to publish that has been found good.
type event struct {
	name     string
	data     []byte
	channels []string
	socketID string
	info     []string
}

// check makes an event of a request. It looks at everything, so that nothing is
// published of a request that is refused.
func (r *eventRequest) check(a *app) (event, error) {
	e := event{name: r.name, socketID: r.socketID}
	switch {
	case r.name == "":
		return e, invalid("name is missing")
	case utf8.RuneCountInString(r.name) > maxEventName:
		return e, overLimit("name has more than %d characters", maxEventName)
	case reserved(r.name):
		return e, invalid("name begins with pusher: or pusher_internal:, which is the protocol's own")
	case r.data.Kind() == auth.Absent:
		return e, invalid("data is missing")
	case r.socketID != "" && !validSocketID(r.socketID):
		return e, invalid("socket_id is not two numbers with a dot between")
	case len(r.channels) == 0:
		return e, errNoChannel
	}
	seen := make(map[string]bool, len(r.channels))
	encrypted := false
	for _, c := range r.channels {
		if !validChannel(c) {
			return e, badChannel(c)
		}
		encrypted = encrypted || kindOf(c).encrypted
		if !seen[c] {
			seen[c] = true
			e.channels = append(e.channels, c)
		}
	}
	if encrypted && len(e.channels) > 1 {
		return e, invalid("an event for an encrypted channel is for that channel alone: only its subscribers have its key")
	}
	e.data = dataText(r.data)
	if len(e.data) > a.conf.MaxEventBytes {
		return e, tooBig("%s", tooMuchData(len(e.data), a.conf.MaxEventBytes))
	}
	var err error
	e.info, err = parseInfo(r.info, infoUsers, infoConnections)
	return e, err
}

// send publishes events, each to all its channels, in their order, once the server
// keeps up. All that is wrong with them has been found before: who is refused for
// that neither waits nor holds a place.
func (c *call) send(events ...event) error {
	if c.d.draining.Load() {
		return errDraining
	}
	if err := c.d.cfg.Gate.Enter(c.ctx); err != nil {
		return err
	}
	defer c.d.cfg.Gate.Leave()
	var rest context.Context // of the time for pauses; nil before the second publication
	for i, e := range events {
		data := jsonString(e.data)
		for j, channel := range e.channels {
			if i+j > 0 {
				if rest == nil {
					var cancel context.CancelFunc
					rest, cancel = context.WithTimeout(c.ctx, admission.Patience)
					defer cancel()
				}
				c.pause(rest)
			}
			c.app.publish(channel, e.name, data, e.socketID)
		}
		c.d.log.Debug("event", "app", c.app.conf.ID, "event", e.name, "channels", len(e.channels), "bytes", len(e.data))
	}
	return nil
}

// pause lets the server catch up between two publications of one request, which may
// be a megabyte for who subscribes to all its channels. It is too late to refuse the
// request then, so after ctx it goes on as it is.
func (c *call) pause(ctx context.Context) {
	_ = c.d.cfg.Gate.Pause(ctx)
}

// events publishes one event to one or more channels.
func (c *call) events() (reply, error) {
	r, err := parseEvent(c.body, c.app.conf.MaxEventChannels)
	if err != nil {
		return nil, err
	}
	e, err := r.check(c.app)
	if err != nil {
		return nil, err
	}
	if err := c.send(e); err != nil {
		return nil, err
	}
	if len(e.info) == 0 {
		return empty, nil
	}
	b := []byte(`{"channels":{`)
	for i, channel := range e.channels {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(b, channel), ':')
		b = c.appendCounts(b, channel, e.info)
	}
	return whole(append(b, "}}"...)), nil
}

// userEvents publishes an event to a signed-in user. The official libraries name
// the user's channel instead.
func (c *call) userEvents() (reply, error) {
	r, err := parseEvent(c.body, c.app.conf.MaxEventChannels)
	if err != nil {
		return nil, err
	}
	r.channels = []string{userChannel + c.args[0]}
	e, err := r.check(c.app)
	if err != nil {
		return nil, err
	}
	return empty, c.send(e)
}

// batchEvents publishes several events, each to one channel, in their order.
func (c *call) batchEvents() (reply, error) {
	var batch [1]auth.Value
	if pick(c.body, []string{"batch"}, batch[:]) != nil {
		return nil, errBadBody
	}
	switch batch[0].Kind() {
	case auth.Absent, auth.Null:
		return nil, invalid("batch is missing")
	case auth.Array:
	default:
		return nil, wrongKind("batch", batch[0])
	}
	n := 0
	for range elements(batch[0]) {
		if n++; n > c.app.conf.MaxBatch {
			return nil, overLimit("Batch too large: the limit is %d events, the app's max_batch_events", c.app.conf.MaxBatch)
		}
	}
	var events []event
	asked := false
	for raw := range elements(batch[0]) {
		e, err := c.batchEvent(raw)
		if err != nil {
			e := *asAPIError(err)
			e.text = "event " + strconv.Itoa(len(events)+1) + " of the batch: " + e.text
			return nil, &e
		}
		events = append(events, e)
		asked = asked || len(e.info) > 0
	}
	if err := c.send(events...); err != nil {
		return nil, err
	}
	if !asked {
		return empty, nil
	}
	b := []byte(`{"batch":[`)
	for i, e := range events {
		if i > 0 {
			b = append(b, ',')
		}
		b = c.appendCounts(b, e.channels[0], e.info)
	}
	return whole(append(b, "]}"...)), nil
}

// batchEvent reads and judges one event of a batch.
func (c *call) batchEvent(raw auth.Value) (event, error) {
	r, err := parseEvent(raw.Bytes(), c.app.conf.MaxEventChannels)
	if err != nil {
		return event{}, err
	}
	if len(r.channels) > 1 {
		return event{}, invalid("more than one channel")
	}
	return r.check(c.app)
}
