package echo

import (
	"encoding/json"
	"strings"

	"poosh/server/echo/authorize"
)

// An ignored is why something that a client said does nothing. The zero ignored is something
// that does.
type ignored uint8

const (
	understood  ignored = iota
	unknown             // an event of another name
	notAnObject         // no argument, null, or something that is no object
	noName              // no channel, or one that is no text, or empty
	longName            // a channel with a longer name than one may have
	badHeaders          // auth.headers is no object of texts
	notClient           // a client event without a name that begins with client-
	notPrivate          // a client event to a channel that is not private
	notInside           // a client event to a channel that the client is not in
	tooOften            // more client events than one connection may send
	overloaded          // the server does not keep up
	ignoring
)

var ignoredNames = [ignoring]string{understood: "understood", unknown: "event", notAnObject: "argument", noName: "channel", longName: "channel_name",
	badHeaders: "headers", notClient: "client_event_name", notPrivate: "client_event_channel", notInside: "client_event_outside", tooOften: "client_event_rate", overloaded: "overloaded"}

// A wish is a channel that a client wants to be in, or not any more.
type wish struct {
	channel string
	headers map[string]string // for the application
}

// object reads an argument that has to be an object.
func object(args [][]byte) (fields map[string]json.RawMessage, why ignored) {
	if len(args) == 0 || args[0][0] != '{' || json.Unmarshal(args[0], &fields) != nil {
		return nil, notAnObject
	}
	return fields, understood
}

// channelIn reads the name of a channel. The original made a text of anything: 5 joined "5",
// and an object "[object Object]".
func channelIn(fields map[string]json.RawMessage, most int) (string, ignored) {
	channel, ok := text(fields["channel"])
	switch {
	case !ok || channel == "":
		return "", noName
	case len(channel) > most:
		return "", longName
	}
	return channel, understood
}

// readWish reads the argument of subscribe and unsubscribe, {"channel", "auth": {"headers"}}.
// most is how many bytes a name may have.
func readWish(args [][]byte, most int) (w wish, why ignored) {
	fields, why := object(args)
	if why != understood {
		return w, why
	}
	if w.channel, why = channelIn(fields, most); why != understood {
		return w, why
	}
	var auth struct {
		Headers json.RawMessage `json:"headers"`
	}
	_ = json.Unmarshal(fields["auth"], &auth) // whatever else it is, there are no headers
	if kindOf(w.channel).private {
		var err error
		if w.headers, err = authorize.ReadHeaders(auth.Headers); err != nil {
			return w, badHeaders
		}
	}
	return w, understood
}

// A whisper is what a client tells the others in a channel.
type whisper struct {
	channel, event string
	data           []byte // JSON text
}

// readWhisper reads the argument of "client event": {"channel", "event", "data"}, or a text of
// that.
func readWhisper(args [][]byte, most int) (w whisper, why ignored) {
	if len(args) > 0 {
		if inner, ok := text(args[0]); ok {
			if inner = strings.TrimSpace(inner); inner == "" {
				return w, notAnObject
			}
			args = [][]byte{[]byte(inner)}
		}
	}
	fields, why := object(args)
	if why != understood {
		return w, why
	}
	if w.channel, why = channelIn(fields, most); why != understood {
		return w, why
	}
	event, _ := text(fields["event"])
	switch {
	case !strings.HasPrefix(event, clientPrefix):
		return w, notClient
	case !kindOf(w.channel).private:
		return w, notPrivate
	}
	w.event, w.data = event, null
	if data := fields["data"]; data != nil {
		w.data = data
	}
	return w, understood
}

// clientPrefix begins the names of what clients tell each other. To the original it was enough
// to have it anywhere, so that a client could send what the application calls "new-client-x".
const clientPrefix = "client-"

// A kind is what a channel is, by its name.
type kind struct {
	private  bool // the application is asked
	presence bool // clients are members
}

// kindOf is as the original judges: the words count anywhere in the name, but for presence.
func kindOf(channel string) kind {
	presence := strings.HasPrefix(channel, presencePrefix)
	return kind{
		private:  presence || strings.Contains(channel, "private-") || strings.Contains(channel, presencePrefix),
		presence: presence,
	}
}

const presencePrefix = "presence-"
