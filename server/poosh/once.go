package poosh

import (
	"errors"
	"net/http"
	"strconv"

	"poosh/server/http1"
	"poosh/server/hub"
	"poosh/server/idempotency"
	"poosh/server/respond"
	"poosh/server/rotation"
	"poosh/server/sends"
)

// sendOnce publishes an event with an idempotency key, unless it has been published.
func (a *API) sendOnce(w http.ResponseWriter, r *http.Request, m *message, pub *hub.Publication, values []string) {
	key, err := idempotency.Of(values)
	if err != nil {
		a.refuse(w, r, m, badKey, err)
		return
	}
	turn, err := a.keys.Take(r.Context(), idempotency.Event, key, contentOf(pub), func() bool { return http1.Aside(w) })
	switch {
	case errors.Is(err, idempotency.ErrConflict):
		a.refuse(w, r, m, keyConflict, err)
	case err != nil:
		a.refuse(w, r, m, keyUnderWay, err)
	case turn.Answer != nil:
		a.replay(w, r, m, pub, turn.Answer)
	case turn.Claim != nil:
		a.publish(w, r, m, pub, turn.Claim)
	}
}

// contentOf is what a key is bound to.
func contentOf(pub *hub.Publication) idempotency.Content {
	to := []byte("room")
	if pub.Everyone {
		to = []byte("everyone")
	}
	return idempotency.ContentOf(to, []byte(pub.Room), []byte(pub.Event), []byte(pub.Except), pub.Data)
}

// replayedValue is the value of the header that says so. It is shared.
var replayedValue = []string{"true"}

// replay answers as the event was answered that had the key before; also where that was that nobody
// knows whether it was published.
func (a *API) replay(w http.ResponseWriter, r *http.Request, m *message, pub *hub.Publication, was *idempotency.Answer) {
	header := w.Header()
	header[idempotency.Replayed] = replayedValue
	if was.Uncertain {
		a.refuse(w, r, m, uncertain, hub.ErrUncertain)
		return
	}
	a.traffic.Requested(m.size())
	if m.old {
		a.previous.Used(rotation.Sender, r.RemoteAddr)
	}
	if a.hub.Across() {
		header[sends.Header] = []string{was.ID}
		if was.Handed >= 0 {
			header[sends.DeliveredHeader] = []string{strconv.Itoa(was.Handed)}
		}
		setNodes(header, was.Nodes)
	} else {
		setSent(header, was.ID, was.Handed)
	}
	if asksWhy(r) {
		respond.Go.Bytes(w, http.StatusOK, sends.Replayed(was.Account, was.At, was.ID, pub.Event))
		return
	}
	header["Content-Length"] = noLength
	w.WriteHeader(http.StatusOK)
}
