// Package respond writes small JSON bodies as the answers of HTTP handlers. Dialects
// differ in how their originals wrote JSON, to the byte: each has its [Form].
package respond

import (
	"bytes"
	"encoding/json"
	"net/http"
)

// A Form is how a dialect writes JSON.
type Form struct {
	Type     string // Content-Type
	Verbatim bool   // leaves <, > and & in texts as they are
	Line     bool   // ends with the end of a line
}

// The forms of what the originals were written in.
var (
	Go      = Form{Type: "application/json"}                                // json.Marshal
	Express = Form{Type: "application/json; charset=utf-8", Verbatim: true} // res.json
)

// JSON answers with a value, which must be one that can be JSON. A client that is gone
// needs no answer, so nobody is told of one.
func (f Form) JSON(w http.ResponseWriter, status int, value any) { f.Bytes(w, status, f.Body(value)) }

// Error answers {"error": text}.
func (f Form) Error(w http.ResponseWriter, status int, text string) {
	f.JSON(w, status, Error{text})
}

// An Error is what is answered to somebody who did something wrong.
type Error struct {
	Text string `json:"error"`
}

// Bytes answers with a body that is there already.
func (f Form) Bytes(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", f.Type)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// Body returns what [Form.JSON] writes.
func (f Form) Body(value any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(!f.Verbatim)
	if err := enc.Encode(value); err != nil {
		panic("respond: " + err.Error()) // of our own types
	}
	if !f.Line {
		b.Truncate(b.Len() - 1)
	}
	return b.Bytes()
}

// Text answers with a plain text.
func Text(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}
