package pushsocket

import (
	"net/http"
	"slices"
	"strconv"

	"poosh/auth"
	"poosh/server/admission"
	"poosh/server/pushsocket/store"
	"poosh/server/respond"
	"poosh/server/sends"
)

// sendMessages is POST message/: a copy of each message is stored for each of its
// recipients, and then the sender is told what became of them.
func (d *Dialect) sendMessages(w http.ResponseWriter, r *http.Request) {
	device, ok := d.caller(w, r)
	if !ok {
		return
	}
	text, ok := d.read(w, r)
	if !ok {
		return
	}
	p, ok := d.prepare(w, text)
	if !ok {
		return
	}
	var outcomes []store.Outcome
	if len(p.recipients) > 0 {
		if outcomes, device, ok = d.queue(w, r, device, p.messages); !ok {
			return
		}
	}
	told := p.report(outcomes)
	d.countOutcomes(outcomes)
	id := d.cfg.Sends.Next()
	d.tell(id, r.RemoteAddr, p.messages, outcomes)
	d.log.Debug("push socket: messages", "id", id, "remote", r.RemoteAddr, "device", device.ID,
		"queued", told.MessagesQueued, "asked", len(p.recipients)+len(p.nobody))
	w.Header()[sends.Header] = []string{id}
	respond.Express.JSON(w, d.tellPrekeys(w, device), told)
}

// tell tells those who watch of the copies that were stored, in their order. What is in
// them is for their devices alone: nobody is told that.
func (d *Dialect) tell(id, from string, messages []store.Outgoing, outcomes []store.Outcome) {
	place := 0
	for i := range messages {
		for _, c := range messages[i].Copies {
			if o := outcomes[place]; o.Kind == store.Queued && d.cfg.Sends.Watched() {
				connections, _ := d.hub.Count(hubApp, room(o.Device))
				d.cfg.Sends.Report(sends.Send{
					ID: sends.Item(id, place), Dialect: "push socket", Room: room(o.Device), Event: eventMessage,
					Size: len(messages[i].Body) + len(c.Header), Handed: connections, From: from,
				})
			}
			place++
		}
	}
}

// queue stores messages and rings for them, or answers by itself. It holds no place
// in the gate while it waits for the disk, or one that hangs would hold up the end
// of all dialects: what is on the disk may be pushed by the next start.
func (d *Dialect) queue(w http.ResponseWriter, r *http.Request, sender store.Device, messages []store.Outgoing) ([]store.Outcome, store.Device, bool) {
	if err := d.cfg.Gate.Enter(r.Context()); err != nil {
		w.Header().Set("Retry-After", admission.RetryAfter)
		d.reject(w, http.StatusServiceUnavailable, refusedOverloaded, err.Error())
		return nil, sender, false
	}
	d.cfg.Gate.Leave()
	ctx, cancel := d.patient()
	defer cancel()
	outcomes, sender, err := d.store.Queue(ctx, sender.ID, messages, d.ringAll)
	if err != nil {
		d.fail(w, r, err)
		return nil, sender, false
	}
	// Stored: whatever happens from here on, they will be pushed.
	d.ringAll(outcomes)
	return outcomes, sender, true
}

// ringAll rings once for each device that something was stored for. It never
// blocks.
func (d *Dialect) ringAll(outcomes []store.Outcome) {
	rung := make(map[store.DeviceID]bool)
	for _, o := range outcomes {
		if o.Kind == store.Queued && !rung[o.Device] {
			rung[o.Device] = true
			d.ring(o.Device)
		}
	}
}

func (d *Dialect) countOutcomes(outcomes []store.Outcome) {
	var n [store.StrangersFull + 1]int
	dropped := 0
	for _, o := range outcomes {
		n[o.Kind]++
		dropped += o.Dropped
	}
	d.count(messagesStored, n[store.Queued])
	d.count(messagesDropped, dropped)
	d.count(mailboxFull, n[store.DeviceFull])
	d.count(mailboxShare, n[store.SenderFull])
	d.count(mailboxStrangers, n[store.StrangersFull])
	d.count(noDevice, n[store.UnknownKey]+n[store.RevokedKey]+n[store.MissingDevice])
}

// prepared is a request for copies, ready for the store.
type prepared struct {
	messages   []store.Outgoing
	recipients []string // of the copies, in order and as they were written
	nobody     []string // recipients that cannot be addresses
}

// The members of what POST message/ takes: each message has a body for all of its
// recipients and a header for each.
var (
	requestMembers = []string{"messages"}
	messageMembers = []string{"headers", "body"}
	headerMembers  = []string{"recipient", "messageHeader"}
)

// noText is the JSON string that a missing one stands for.
var noText = []byte(`""`)

// prepare checks a body and takes it apart, or answers by itself. It looks at no
// more messages and headers than one request may have.
func (d *Dialect) prepare(w http.ResponseWriter, text []byte) (p prepared, ok bool) {
	var request [1]auth.Value
	if auth.Pick(text, requestMembers, request[:]) != nil || request[0].Kind() != auth.Array {
		d.malformed(w, "want an object with an array of messages")
		return p, false
	}
	for m := range request[0].Elements() {
		if len(p.messages) >= d.cfg.MaxRecipients {
			d.tooMany(w, refusedMessages, "messages")
			return p, false
		}
		if !d.prepareMessage(w, &p, m) {
			return p, false
		}
	}
	return p, true
}

func (d *Dialect) prepareMessage(w http.ResponseWriter, p *prepared, m auth.Value) bool {
	var members [2]auth.Value
	if m.Kind() != auth.Object || auth.Pick(m.Bytes(), messageMembers, members[:]) != nil {
		d.malformed(w, "a message is not an object")
		return false
	}
	headers := members[0]
	body, ok := stringText(members[1])
	if !ok {
		d.malformed(w, "a body is not a string")
		return false
	}
	if headers.Kind() != auth.Array {
		d.malformed(w, "a message wants headers, an array")
		return false
	}
	message := store.Outgoing{Body: body}
	headerOf := make(map[auth.Address]string)
	for h := range headers.Elements() {
		if len(p.recipients)+len(p.nobody) >= d.cfg.MaxRecipients {
			d.tooMany(w, refusedHeaders, "headers")
			return false
		}
		var members [2]auth.Value
		if h.Kind() != auth.Object || auth.Pick(h.Bytes(), headerMembers, members[:]) != nil {
			d.malformed(w, "a header is not an object")
			return false
		}
		header, ok := stringText(members[1])
		if !ok || members[0].Kind() != auth.String {
			d.malformed(w, "a header wants a recipient and a messageHeader, both strings")
			return false
		}
		recipient := members[0].String()
		to, err := auth.ParseAddress(recipient)
		if err != nil {
			p.nobody = append(p.nobody, recipient)
			continue
		}
		// A device gets a message once. Two headers for it cannot both be meant, and
		// which of them was nobody can say.
		if earlier, twice := headerOf[to]; twice {
			if earlier != string(header) {
				d.malformed(w, "a message has two headers for one recipient")
				return false
			}
			continue
		}
		headerOf[to] = string(header)
		message.Copies = append(message.Copies, store.Copy{To: to, Header: header})
		p.recipients = append(p.recipients, recipient)
	}
	p.messages = append(p.messages, message)
	return true
}

// tooMany answers 413 for more than MaxRecipients of something.
func (d *Dialect) tooMany(w http.ResponseWriter, why happening, what string) {
	d.reject(w, http.StatusRequestEntityTooLarge, why,
		"one request may have "+strconv.Itoa(d.cfg.MaxRecipients)+" "+what)
}

// stringText returns the text of a JSON string as it was written; a missing one is
// an empty one.
func stringText(v auth.Value) ([]byte, bool) {
	if v.Kind() == auth.Absent {
		return noText, true
	}
	return v.Bytes(), v.Kind() == auth.String
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
		case store.DeviceFull, store.SenderFull, store.StrangersFull:
			name(&answer.FullDevices, recipient)
		}
	}
	return answer
}
