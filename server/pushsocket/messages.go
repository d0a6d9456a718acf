package pushsocket

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"poosh/auth"
	"poosh/server/pushsocket/store"
)

// A messagesBody is what POST message/ takes: each message has a body for all of
// its recipients and a header for each.
type messagesBody struct {
	Messages *[]struct {
		Headers []struct {
			Recipient     *string         `json:"recipient"`
			MessageHeader json.RawMessage `json:"messageHeader"`
		} `json:"headers"`
		Body json.RawMessage `json:"body"`
	} `json:"messages"`
}

// sendMessages is POST message/: a copy of each message is stored for each of its
// recipients, and then the sender is told what became of them.
func (d *Dialect) sendMessages(w http.ResponseWriter, r *http.Request) {
	device, ok := d.caller(w, r)
	if !ok {
		return
	}
	var body messagesBody
	if !d.read(w, r, &body) {
		return
	}
	p, ok := d.prepare(w, body)
	if !ok {
		return
	}
	var outcomes []store.Outcome
	if len(p.copies) > 0 {
		var err error
		if outcomes, device, err = d.store.Queue(r.Context(), device.ID, p.copies); err != nil {
			d.fail(w, r, err)
			return
		}
	}
	// Stored: whatever happens from here on, they will be pushed.
	rung := make(map[store.DeviceID]bool)
	for _, o := range outcomes {
		if o.Kind == store.Queued && !rung[o.Device] {
			rung[o.Device] = true
			d.ring(o.Device)
		}
	}
	answer := p.report(outcomes)
	d.count("messages stored", answer.MessagesQueued)
	d.count("messages dropped", answer.MessagesDropped)
	d.log.Debug("push socket: messages", "remote", r.RemoteAddr, "device", device.ID,
		"queued", answer.MessagesQueued, "asked", len(p.copies)+len(p.nobody))
	writeJSON(w, d.answering(w, device), answer)
}

// prepared is a request for copies, ready for the store.
type prepared struct {
	copies     []store.Copy
	recipients []string // of the copies, as they were written
	nobody     []string // recipients that cannot be addresses
}

// prepare checks a body and takes it apart, or answers by itself.
func (d *Dialect) prepare(w http.ResponseWriter, body messagesBody) (p prepared, ok bool) {
	if body.Messages == nil {
		d.malformed(w, "messages are missing")
		return p, false
	}
	for _, m := range *body.Messages {
		text, ok := jsonString(m.Body)
		if !ok {
			d.malformed(w, "a body is not a string")
			return p, false
		}
		for _, h := range m.Headers {
			header, ok := jsonString(h.MessageHeader)
			if !ok || h.Recipient == nil {
				d.malformed(w, "a header wants a recipient and a messageHeader, both strings")
				return p, false
			}
			if len(p.copies)+len(p.nobody) >= d.cfg.MaxRecipients {
				writeError(w, http.StatusRequestEntityTooLarge, "one request may have "+strconv.Itoa(d.cfg.MaxRecipients)+" headers")
				return p, false
			}
			to, err := auth.ParseAddress(*h.Recipient)
			if err != nil {
				p.nobody = append(p.nobody, *h.Recipient)
				continue
			}
			p.copies = append(p.copies, store.Copy{To: to, Header: header, Body: text})
			p.recipients = append(p.recipients, *h.Recipient)
		}
	}
	return p, true
}

// jsonString returns the text of a JSON string as it was written; a missing one is
// an empty one.
func jsonString(text json.RawMessage) ([]byte, bool) {
	if text == nil {
		return []byte(`""`), true
	}
	return text, text[0] == '"'
}

// report tells the sender what became of the copies.
func (p prepared) report(outcomes []store.Outcome) report {
	answer := report{KeysNotFound: []string{}, RevokedKeys: []string{}, MissingDevices: []string{},
		FullDevices: []string{}, DroppedFor: []string{}}
	name := func(list *[]string, recipient string) {
		if !slices.Contains(*list, recipient) {
			*list = append(*list, recipient)
		}
	}
	for _, recipient := range p.nobody {
		name(&answer.KeysNotFound, recipient)
	}
	for i, o := range outcomes {
		recipient := p.recipients[i]
		switch o.Kind {
		case store.Queued:
			answer.MessagesQueued++
			if o.Dropped > 0 {
				answer.MessagesDropped += o.Dropped
				name(&answer.DroppedFor, recipient)
			}
		case store.UnknownKey:
			name(&answer.KeysNotFound, recipient)
		case store.RevokedKey:
			name(&answer.RevokedKeys, recipient)
		case store.MissingDevice:
			name(&answer.MissingDevices, recipient)
		case store.DeviceFull:
			name(&answer.FullDevices, recipient)
		}
	}
	return answer
}
