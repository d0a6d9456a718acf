package dialect

import (
	"encoding/json"
	"net/http"
)

// A Form is an event as an operator writes it down.
type Form struct {
	App     string // as [App].ID has it
	Secret  string // that a sender of the dialect signs with
	Room    *string
	Event   string
	Payload json.RawMessage // nil for none
}

// A Request is what a sender would send for a [Form].
type Request struct {
	Port   string // the setting of the port that it goes to
	Method string
	Target string // path and query
	Header http.Header
	Body   []byte

	Wrong int // the status with which a wrong secret is answered; 0 for 401
}
