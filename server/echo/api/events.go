package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"unicode/utf8"

	"poosh/server/exactjson"
	"poosh/server/quota"
	"poosh/server/sends"
)

// events sends an event to its channels. With ?explain=1 an account of what became of it stands
// beside what the original answered.
func (c *call) events() error {
	body, err := c.read()
	if err != nil {
		return err
	}
	e, err := readEvent(body, c.rules.MaxChannels)
	if err != nil {
		return err
	}
	explain := sends.Asked(c.r.URL.Query().Get("explain"))
	var account *sends.Account
	if explain {
		account = sends.Explain("", e.Name)
	}
	if len(e.Channels) > 0 { // an empty list was ok, and nobody's
		sent, err := c.dialect.Publish(c.ctx, e, explain)
		if err != nil {
			return err
		}
		account = sent.Account
		c.w.Header().Set(sends.Header, sent.ID)
		if sent.Handed >= 0 {
			c.w.Header().Set(sends.DeliveredHeader, strconv.Itoa(sent.Handed))
		}
	}
	c.answer(c.w, http.StatusOK, struct {
		*sends.Account        // none of it without one
		Message        string `json:"message"`
	}{account, "ok"})
	return nil
}

// read reads the body of somebody with a key.
func (c *call) read() ([]byte, error) {
	most := c.rules.MaxBody
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, int64(most)))
	c.traffic.Requested(len(body))
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &big):
		return nil, &Error{Status: http.StatusRequestEntityTooLarge, Text: fmt.Sprintf("the body is larger than %d bytes", most)}
	case errors.Is(err, quota.ErrFull):
		return nil, err
	case err != nil:
		return nil, errGone
	}
	return body, nil
}

// readEvent reads a body: an object with channel or channels, name, data that JavaScript takes
// for true, and perhaps socket_id. data may be a text of JSON, and is what that says then.
func readEvent(body []byte, most int) (Event, error) {
	if !utf8.Valid(body) || !json.Valid(body) {
		return Event{}, &Error{Status: http.StatusBadRequest, Text: "the body is no JSON"}
	}
	var said struct {
		Channel  json.RawMessage `json:"channel"`
		Channels json.RawMessage `json:"channels"`
		Name     json.RawMessage `json:"name"`
		Data     json.RawMessage `json:"data"`
		Socket   json.RawMessage `json:"socket_id"`
	}
	if body = bytes.TrimSpace(body); body[0] != '{' || exactjson.Unmarshal(body, &said) != nil {
		return Event{}, errEvent
	}
	e := Event{Data: dataOf(said.Data)}
	var ok bool
	if e.Channels, ok = channelsOf(said.Channels, said.Channel); !ok || e.Data == nil {
		return Event{}, errEvent
	}
	if e.Name, ok = textOf(said.Name); !ok || e.Name == "" {
		return Event{}, errEvent
	}
	if len(e.Channels) > most {
		return Event{}, &Error{Status: http.StatusBadRequest, Text: fmt.Sprintf("the event has %d channels: %d are the most", len(e.Channels), most)}
	}
	if e.Except, ok = textOf(said.Socket); !ok {
		e.Except = "" // what is no text is nobody's id
	}
	return e, nil
}

// isTrue reports whether JavaScript takes a value for true; nil is one that is not there.
func isTrue(raw json.RawMessage) bool {
	switch string(raw) {
	case "", "null", "false", `""`:
		return false
	}
	if raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9' {
		n, err := json.Number(raw).Float64()
		return err != nil || n != 0
	}
	return true
}

// channelsOf returns where an event goes: the list counts before the single one. ok is false
// for what are no names.
func channelsOf(list, one json.RawMessage) (names []string, ok bool) {
	if isTrue(list) {
		if list[0] != '[' || exactjson.Unmarshal(list, &names) != nil {
			return nil, false
		}
		for _, name := range names {
			if name == "" {
				return nil, false
			}
		}
		return names, true
	}
	name, ok := textOf(one)
	return []string{name}, ok && name != ""
}

// textOf reads a text.
func textOf(raw json.RawMessage) (text string, ok bool) {
	if len(raw) == 0 || raw[0] != '"' {
		return "", false
	}
	return text, json.Unmarshal(raw, &text) == nil
}

// dataOf is what an event carries: the JSON in a text, if it is some, and otherwise the value
// as it stands. nil for none.
func dataOf(raw json.RawMessage) json.RawMessage {
	if !isTrue(raw) {
		return nil
	}
	if text, ok := textOf(raw); ok && json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return raw
}
