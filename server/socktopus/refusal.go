package socktopus

import "net/http"

// A refusal is why a request is not done. Each is counted by its name.
type refusal uint8

const (
	notRefused refusal = iota

	badOrigin // of clients
	malformedToken
	earlyToken
	oldToken
	badSignature
	kicked
	badHandshake
	noUpgrade
	tooManyConnections

	noSecret // of clients and senders
	shuttingDown

	wrongSecret // of senders
	tooManyElements
	tooManyKicks
	tooLarge
	tooSlow
	malformed
	inputFull
	overloaded
	away
	uncertain

	numRefusals
)

// refusals are what each is answered with. The texts are the original's, where it had one.
var refusals = [numRefusals]struct {
	status int
	text   string
}{
	badOrigin:          {http.StatusForbidden, "Origin not allowed"},
	malformedToken:     {http.StatusBadRequest, "Malformed token"},
	earlyToken:         {http.StatusUnauthorized, "Token ahead of the clock"},
	oldToken:           {http.StatusUnauthorized, "Token expired"},
	badSignature:       {http.StatusUnauthorized, "Invalid signature"},
	kicked:             {http.StatusForbidden, "Connection kicked"},
	badHandshake:       {http.StatusBadRequest, "Bad WebSocket handshake"},
	noUpgrade:          {http.StatusUpgradeRequired, "WebSocket upgrade required"},
	tooManyConnections: {http.StatusTooManyRequests, "Too many connections"},

	noSecret:     {http.StatusNotFound, "Secret not found"},
	shuttingDown: {http.StatusServiceUnavailable, "Server is shutting down"},

	wrongSecret:     {http.StatusUnauthorized, "Invalid secret"},
	tooManyElements: {http.StatusRequestEntityTooLarge, "Too many elements"}, // and how many there may be
	tooManyKicks:    {http.StatusServiceUnavailable, "Too many requests to /kick are waiting"},
	tooLarge:        {http.StatusRequestEntityTooLarge, "Request too large"},
	tooSlow:         {http.StatusRequestTimeout, "Request took too long"},
	malformed:       {http.StatusBadRequest, "Malformed request"},
	inputFull:       {http.StatusServiceUnavailable, "Too much input is waiting for its end"},
	overloaded:      {http.StatusServiceUnavailable, "Too much is waiting to be written"},
	away:            {http.StatusServiceUnavailable, "The other nodes cannot be reached, try again"},
	uncertain:       {http.StatusServiceUnavailable, "The other nodes did not answer: it may have been sent, or a part of it"},
}

// answer is what a refusal is answered with.
func (d *Dialect) answer(why refusal) (status int, text string) {
	if why == tooManyElements {
		return refusals[why].status, d.rules.Load().tooMany
	}
	return refusals[why].status, refusals[why].text
}

// refusalNames are what refusals are counted as.
func refusalNames() []string {
	names := make([]string, numRefusals)
	names[notRefused] = "none"
	for why := notRefused + 1; why < numRefusals; why++ {
		names[why] = refusals[why].text
	}
	return names
}
