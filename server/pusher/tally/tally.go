// Package tally lists what the Pusher dialect counts. What is counted is one of these
// constants, so that nothing that a client or an application says becomes a name.
package tally

import "net/http"

// A Thing is what happened.
type Thing uint8

// The things. Those of one kind stand together: a collector is shown each kind by itself.
const (
	Connect Thing = iota // what clients did
	ConnectFailed
	MessageRefused
	Subscribe
	SubscribeRefused
	UnsubscribeRefused
	SignIn
	SignInRefused
	WatchlistCut
	ClientEvent
	ClientEventRefused
	CacheEvicted

	Recovered // channels of which clients asked for what was before
	NotRecovered
	Replayed // events that they were given then

	WebhookSent // events for webhooks
	WebhookRetried
	WebhookRefused
	WebhookFull
	WebhookShare
	WebhookTries
	WebhookEnd
	WebhookPanic

	answer200 // answers of the API
	answer400
	answer401
	answer403
	answer404
	answer405
	answer408
	answer409
	answer413
	answer426
	answer429
	answer500
	answer503
	answerOther

	refused400 // connects, by the status or the code of the close
	refused426
	refused429
	refused4001
	refused4003
	refused4004
	refused4005
	refused4006
	refused4007
	refused4009
	refused4100
	refusedOther
)

// The first and the last of each kind.
const (
	FirstOfClients, LastOfClients       = Connect, CacheEvicted
	FirstOfRecoveries, LastOfRecoveries = Recovered, Replayed
	FirstOfWebhooks, LastOfWebhooks     = WebhookSent, WebhookPanic
	FirstAnswer, LastAnswer             = answer200, answerOther
	FirstRefused, LastRefused           = refused400, refusedOther
)

// Names are what the things are called.
var Names = [...]string{
	Connect:            "connect",
	ConnectFailed:      "connect failed",
	MessageRefused:     "message refused",
	Subscribe:          "subscribe",
	SubscribeRefused:   "subscribe refused",
	UnsubscribeRefused: "unsubscribe refused",
	SignIn:             "sign-in",
	SignInRefused:      "sign-in refused",
	WatchlistCut:       "watchlist cut",
	ClientEvent:        "client event",
	ClientEventRefused: "client event refused",
	CacheEvicted:       "cache evicted",

	Recovered:    "recovery recovered", // and nothing of it is missing
	NotRecovered: "recovery not_recovered",
	Replayed:     "replayed",

	WebhookSent:    "webhook sent",
	WebhookRetried: "webhook retried",
	WebhookRefused: "webhook refused",       // the address said no
	WebhookFull:    "webhook dropped full",  // too many wait
	WebhookShare:   "webhook dropped share", // too many of one network wait
	WebhookTries:   "webhook dropped tries", // no try succeeded in time
	WebhookEnd:     "webhook dropped end",   // the server ended
	WebhookPanic:   "webhook dropped panic", // a bug of ours

	answer200:   "api 200",
	answer400:   "api 400",
	answer401:   "api 401",
	answer403:   "api 403",
	answer404:   "api 404",
	answer405:   "api 405",
	answer408:   "api 408",
	answer409:   "api 409",
	answer413:   "api 413",
	answer426:   "api 426",
	answer429:   "api 429",
	answer500:   "api 500",
	answer503:   "api 503",
	answerOther: "api other",

	refused400:   "connect refused 400",
	refused426:   "connect refused 426",
	refused429:   "connect refused 429",
	refused4001:  "connect refused 4001",
	refused4003:  "connect refused 4003",
	refused4004:  "connect refused 4004",
	refused4005:  "connect refused 4005",
	refused4006:  "connect refused 4006",
	refused4007:  "connect refused 4007",
	refused4009:  "connect refused 4009",
	refused4100:  "connect refused 4100",
	refusedOther: "connect refused other",
}

// String is the thing's name.
func (t Thing) String() string { return Names[t] }

// Answer is an answer of the API with a status.
func Answer(status int) Thing {
	switch status {
	case http.StatusOK:
		return answer200
	case http.StatusBadRequest:
		return answer400
	case http.StatusUnauthorized:
		return answer401
	case http.StatusForbidden:
		return answer403
	case http.StatusNotFound:
		return answer404
	case http.StatusMethodNotAllowed:
		return answer405
	case http.StatusRequestTimeout:
		return answer408
	case http.StatusConflict:
		return answer409
	case http.StatusRequestEntityTooLarge:
		return answer413
	case http.StatusUpgradeRequired:
		return answer426
	case http.StatusTooManyRequests:
		return answer429
	case http.StatusInternalServerError:
		return answer500
	case http.StatusServiceUnavailable:
		return answer503
	}
	return answerOther
}

// Refused is a connect that was answered with a status, or closed with a code of the
// protocol.
func Refused(code int) Thing {
	switch code {
	case http.StatusBadRequest:
		return refused400
	case http.StatusUpgradeRequired:
		return refused426
	case http.StatusTooManyRequests:
		return refused429
	case 4001:
		return refused4001
	case 4003:
		return refused4003
	case 4004:
		return refused4004
	case 4005:
		return refused4005
	case 4006:
		return refused4006
	case 4007:
		return refused4007
	case 4009:
		return refused4009
	case 4100:
		return refused4100
	}
	return refusedOther
}
