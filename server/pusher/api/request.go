package api

import (
	"bytes"
	"encoding/json"
	"iter"
	"net/http"
	"unicode/utf8"

	"poosh/auth"
	"poosh/server/pusher/answer"
	"poosh/server/pusher/app"
	"poosh/server/pusher/protocol"
)

var (
	errBadBody   = answer.Invalid("the body must be a JSON object")
	errNoChannel = &answer.Error{Status: http.StatusBadRequest, Code: "missing_channel_info", Text: "no channel is named"}
)

// An eventRequest is the body of a request to publish, or one item of a batch. It
// refers to that body.
type eventRequest struct {
	name     string
	data     auth.Value // absent when it is missing
	channels []string   // of the one field or the other
	socketID string
	info     string
	key      auth.Value // for idempotency; absent for none
}

var eventNames = []string{"name", "socket_id", "info", "channel", "channels", "data", "idempotency_key"}

// parseEvent reads a request to publish to at most so many channels, which it looks
// at no further than that. Fields that nobody knows are ignored.
func parseEvent(body []byte, maxChannels int) (eventRequest, error) {
	var r eventRequest
	var values [7]auth.Value
	if protocol.Pick(body, eventNames, values[:]) != nil {
		return r, errBadBody
	}
	var channel string
	for i, at := range []*string{&r.name, &r.socketID, &r.info, &channel} {
		text, ok := protocol.TextOf(values[i])
		if !ok {
			return r, wrongKind(eventNames[i], values[i])
		}
		*at = text
	}
	r.data, r.key = values[5], values[6]
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
		text, _ := protocol.TextOf(v)
		return []string{text}, nil
	case auth.Array:
	default:
		return nil, wrongKind("channels", v)
	}
	var list []string
	for one := range elements(v) {
		if len(list) == most {
			return nil, answer.OverLimit("more than %d channels in one event; the limit is the app's max_channels_per_event", most)
		}
		if one.Kind() != auth.String {
			return nil, wrongKind("a channel", one)
		}
		text, _ := protocol.TextOf(one)
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
	return answer.Invalid("%s may not be a JSON %s", field, kind)
}

// An event is a request to publish that has been found good.
type event struct {
	name     string
	data     []byte
	channels []string
	socketID string
	info     []string
	keyed    *keyed // nil without an idempotency key
}

// check makes an event of a request. It looks at everything, so that nothing is
// published of a request that is refused.
func (r *eventRequest) check(conf *app.Config) (event, error) {
	e := event{name: r.name, socketID: r.socketID}
	switch {
	case r.name == "":
		return e, answer.Invalid("name is missing")
	case utf8.RuneCountInString(r.name) > protocol.MaxEventName:
		return e, answer.OverLimit("name has more than %d characters", protocol.MaxEventName)
	case protocol.Reserved(r.name):
		return e, answer.Invalid("name begins with pusher: or pusher_internal:, which is the protocol's own")
	case r.data.Kind() == auth.Absent:
		return e, answer.Invalid("data is missing")
	case r.socketID != "" && !protocol.ValidSocketID(r.socketID):
		return e, answer.Invalid("socket_id is not two numbers with a dot between")
	case len(r.channels) == 0:
		return e, errNoChannel
	}
	seen := make(map[string]bool, len(r.channels))
	encrypted := false
	for _, c := range r.channels {
		if !protocol.ValidChannel(c) {
			return e, badChannel(c)
		}
		encrypted = encrypted || protocol.KindOf(c).Encrypted
		if !seen[c] {
			seen[c] = true
			e.channels = append(e.channels, c)
		}
	}
	if encrypted && len(e.channels) > 1 {
		return e, answer.Invalid("an event for an encrypted channel is for that channel alone: only its subscribers have its key")
	}
	e.data = protocol.DataText(r.data)
	if len(e.data) > conf.MaxEventBytes {
		return e, answer.TooBig("%s", protocol.TooMuchData(len(e.data), conf.MaxEventBytes))
	}
	var err error
	if e.keyed, err = keyedBy(r.key); err != nil {
		return e, err
	}
	e.info, err = parseInfo(r.info, infoUsers, infoConnections)
	return e, err
}
