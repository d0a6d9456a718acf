package poosh

import (
	"errors"
	"io"
	"net/http"

	"poosh/auth"
	"poosh/server/admission"
	"poosh/server/hub"
	"poosh/server/idempotency"
	"poosh/server/quota"
	"poosh/server/respond"
	"poosh/server/sends"
)

// A reason says why a request is not published.
type reason int

const (
	accepted reason = iota

	badExpectation // before the body
	unknownMethod
	noToken
	overloaded

	away // of several processes
	awayFull
	uncertain

	badCharset // the body
	badEncoding
	tooLarge
	badInflate
	brokenBody
	slowBody
	inputFull
	badJSON
	tooDeep
	notObject

	badToken

	readOnly // the path
	badPath
	notFound

	badEvent // what is to be sent
	reservedEvent
	badRoom
	badKey
	keyConflict
	keyUnderWay

	badPage // what is to be read

	numReasons
)

// refusals is the one place where reasons become answers. Names are what counters
// and the log say; texts are what the sender is told, and one without a text is
// told nothing.
var refusals = [numReasons]struct {
	name   string
	status int
	text   string
}{
	accepted: {"accepted", http.StatusOK, ""},

	badExpectation: {"expectation", http.StatusExpectationFailed, "only 100-continue can be expected"},
	unknownMethod:  {"method", http.StatusBadRequest, "unknown method"},
	noToken:        {"no_token", http.StatusUnauthorized, ""},
	overloaded:     {"overloaded", http.StatusServiceUnavailable, "busy, try again"},

	away:      {"away", http.StatusServiceUnavailable, admission.ErrAway.Error()},
	awayFull:  {"away_full", http.StatusServiceUnavailable, hub.ErrFull.Error()},
	uncertain: {"uncertain", http.StatusServiceUnavailable, hub.ErrUncertain.Error()},

	badCharset:  {"charset", http.StatusUnsupportedMediaType, "charset must be utf-8"},
	badEncoding: {"content_encoding", http.StatusUnsupportedMediaType, "content encoding must be gzip, deflate or identity"},
	tooLarge:    {"too_large", http.StatusRequestEntityTooLarge, "body is too large"},
	badInflate:  {"inflate", http.StatusBadRequest, "body does not match its content encoding"},
	brokenBody:  {"broken_body", http.StatusBadRequest, "body ended early"},
	slowBody:    {"slow_body", http.StatusRequestTimeout, "body took too long"},
	inputFull:   {"input_full", http.StatusServiceUnavailable, quota.ErrFull.Error()},
	badJSON:     {"json", http.StatusBadRequest, "invalid JSON"},
	tooDeep:     {"too_deep", http.StatusBadRequest, "JSON is nested too deep"},
	notObject:   {"not_object", http.StatusBadRequest, "body must be a JSON object"},

	badToken: {"bad_token", http.StatusUnauthorized, ""},

	readOnly: {"read", http.StatusUnauthorized, ""},
	badPath:  {"path", http.StatusBadRequest, "path cannot be decoded"},
	notFound: {"not_found", http.StatusNotFound, "only POST /send is here"},

	badEvent:      {"event", http.StatusBadRequest, "event must be a string"},
	reservedEvent: {"reserved_event", http.StatusBadRequest, "event has a name that Socket.IO clients cannot receive"},
	badRoom:       {"room", http.StatusBadRequest, "room must be a string, a number or a boolean, or left out for everyone"},

	badKey:      {"idempotency_key", http.StatusBadRequest, "there must be one Idempotency-Key, of 1 to 128 bytes"},
	keyConflict: {"idempotency_conflict", http.StatusConflict, idempotency.ErrConflict.Error()},
	keyUnderWay: {"idempotency_under_way", http.StatusServiceUnavailable, idempotency.ErrUnderWay.Error()},

	badPage: {"page", http.StatusBadRequest, "want /history?room=a&since=ID&limit=100: since an id or all, limit from 1 to 1000, each once"},
}

// errorBody is what a refusal with such a text is answered with.
func errorBody(text string) []byte {
	if text == "" {
		return nil
	}
	return respond.Go.Body(respond.Error{Text: text})
}

// retryAfter is in seconds; it is shared.
var retryAfter = []string{admission.RetryAfter}

// refuse answers, counts and logs a request that is not published. m is its body if
// that was looked at, and err may say more about the reason than its text.
func (a *API) refuse(w http.ResponseWriter, r *http.Request, m *message, why reason, err error) {
	a.refused[why].Add(1)
	a.traffic.Requested(m.size())
	a.logRefusal(r, why)
	switch why {
	case overloaded, away, awayFull, brokenBody, slowBody, inputFull:
		// Reading on is what cannot be afforded, or cannot be done.
	default:
		a.discard(r, m)
	}
	header := w.Header()
	if why == overloaded || why == away || why == awayFull || why == inputFull || why == keyUnderWay {
		header["Retry-After"] = retryAfter
	}
	by := a.rulesOf(m)
	body := a.bodies[why]
	if why == tooLarge {
		body = by.tooLarge
	}
	if syntax := (*auth.SyntaxError)(nil); errors.As(err, &syntax) {
		body = errorBody(syntax.Error())
	}
	if why == reservedEvent && asksWhy(r) {
		body = respond.Go.Body(sends.Refused{Error: respond.Error{Text: refusals[why].text}, Cause: hub.RefusedName})
	}
	if body == nil {
		header["Content-Length"] = noLength
		w.WriteHeader(refusals[why].status)
		return
	}
	respond.Go.Bytes(w, refusals[why].status, body)
}

// rulesOf is what a request is judged by; m is nil for one whose body nobody looked at.
func (a *API) rulesOf(m *message) *rules {
	if m == nil || m.by == nil {
		return a.rules.Load()
	}
	return m.by
}

// discard reads on in a body that is refused, so that its sender gets to see the
// answer. Two kinds of sender need no such help: who waits for a 100 Continue that
// never came, and who is cut off in any case because it announced too much.
func (a *API) discard(r *http.Request, m *message) {
	if r.Body == nil || r.ContentLength == 0 || r.ContentLength > a.rulesOf(m).maxBody+a.maxWire {
		return
	}
	if r.Header["Expect"] != nil && (m == nil || m.wire.body == nil) {
		return
	}
	_, _ = io.CopyN(io.Discard, r.Body, a.maxWire)
}
