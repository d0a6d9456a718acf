package pusher

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"unicode/utf8"
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

// An eventRequest is the body of a request to publish, or one item of a batch.
type eventRequest struct {
	Name     *string         `json:"name"`
	Data     json.RawMessage `json:"data"`
	Channel  string          `json:"channel"`
	Channels oneOrMany       `json:"channels"`
	SocketID string          `json:"socket_id"`
	Info     string          `json:"info"`
}

// oneOrMany is a list of texts, or one text.
type oneOrMany []string

func (o *oneOrMany) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		*o = make([]string, 1)
		return json.Unmarshal(b, &(*o)[0])
	}
	return json.Unmarshal(b, (*[]string)(o))
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
func (r *eventRequest) check(a *app, channels []string) (event, error) {
	e := event{socketID: r.SocketID}
	switch {
	case r.Name == nil || *r.Name == "":
		return e, invalid("name is missing")
	case utf8.RuneCountInString(*r.Name) > maxEventName:
		return e, overLimit("name has more than %d characters", maxEventName)
	case reserved(*r.Name):
		return e, invalid("name begins with pusher: or pusher_internal:, which is the protocol's own")
	case r.Data == nil:
		return e, invalid("data is missing")
	case r.SocketID != "" && !validSocketID(r.SocketID):
		return e, invalid("socket_id is not two numbers with a dot between")
	case len(channels) == 0:
		return e, errNoChannel
	case len(channels) > a.conf.MaxEventChannels:
		return e, overLimit("more than %d channels in one event; the limit is the app's max_channels_per_event", a.conf.MaxEventChannels)
	}
	e.name = *r.Name
	seen := make(map[string]bool, len(channels))
	encrypted := false
	for _, c := range channels {
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
	e.data = dataText(r.Data)
	if len(e.data) > a.conf.MaxEventBytes {
		return e, tooBig("%s", tooMuchData(len(e.data), a.conf.MaxEventBytes))
	}
	var err error
	e.info, err = parseInfo(r.Info, infoUsers, infoConnections)
	return e, err
}

// targets are the channels that a request names, in the one field or the other.
func (r *eventRequest) targets() []string {
	if len(r.Channels) > 0 {
		return r.Channels
	}
	if r.Channel != "" {
		return []string{r.Channel}
	}
	return nil
}

// decode reads the body into v.
func (c *call) decode(v any) error {
	body := bytes.TrimSpace(c.body)
	if len(body) == 0 || body[0] != '{' {
		return errBadBody
	}
	err := json.Unmarshal(body, v)
	var wrong *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrong):
		return invalid("%s may not be a JSON %s", wrong.Field, wrong.Value)
	case err != nil:
		return errBadBody
	}
	return nil
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
	for _, e := range events {
		for _, channel := range e.channels {
			c.app.publish(channel, e.name, e.data, e.socketID)
		}
		c.d.log.Debug("event", "app", c.app.conf.ID, "event", e.name, "channels", len(e.channels), "bytes", len(e.data))
	}
	return nil
}

// events publishes one event to one or more channels.
func (c *call) events() (reply, error) {
	var r eventRequest
	if err := c.decode(&r); err != nil {
		return nil, err
	}
	e, err := r.check(c.app, r.targets())
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
	var r eventRequest
	if err := c.decode(&r); err != nil {
		return nil, err
	}
	e, err := r.check(c.app, []string{userChannel + c.args[0]})
	if err != nil {
		return nil, err
	}
	return empty, c.send(e)
}

// batchEvents publishes several events, each to one channel, in their order.
func (c *call) batchEvents() (reply, error) {
	var body struct {
		Batch []eventRequest `json:"batch"`
	}
	if err := c.decode(&body); err != nil {
		return nil, err
	}
	if body.Batch == nil {
		return nil, invalid("batch is missing")
	}
	if len(body.Batch) > c.app.conf.MaxBatch {
		return nil, overLimit("Batch too large: %d events, the limit is the app's max_batch_events, %d", len(body.Batch), c.app.conf.MaxBatch)
	}
	events := make([]event, len(body.Batch))
	asked := false
	for i := range body.Batch {
		r := &body.Batch[i]
		targets := r.targets()
		if len(targets) > 1 {
			return nil, invalid("event %d of the batch has more than one channel", i+1)
		}
		var err error
		if events[i], err = r.check(c.app, targets); err != nil {
			e := *asAPIError(err)
			e.text = "event " + string(appendInt(nil, i+1)) + " of the batch: " + e.text
			return nil, &e
		}
		asked = asked || len(events[i].info) > 0
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
