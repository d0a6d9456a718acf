package poosh

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"

	"poosh/server/http1"
	"poosh/server/hub"
	"poosh/server/idempotency"
	"poosh/server/respond"
	"poosh/server/sends"
)

// This file is what a send is where several processes act as one: it is answered once all of
// them have been told, and how many connections take it nobody waits for.

// publishAcross is the end of [API.publish] in one of several processes. The claim is settled
// once it is known what became of the event, or that nobody knows, or given back where nothing was
// published.
func (a *API) publishAcross(w http.ResponseWriter, r *http.Request, m *message, pub *hub.Publication, claim *idempotency.Claim) {
	id := a.sends.Next()
	a.traffic.Requested(m.size())
	remote, debug := r.RemoteAddr, a.log.Enabled(r.Context(), slog.LevelDebug)
	http1.AnswerLater(w, r, func(answer func(int, http.Header, []byte)) {
		defer a.gate.Leave() // the hub has it: others are not held up for an answer
		a.hub.Send(pub, func(h hub.Handed) {
			defer claim.Release() // where it is not settled
			if why := unsent(h.Err); why != accepted {
				a.lost(why, remote)
				settleUncertain(claim, id, why)
				answer(refusals[why].status, refusedAcross(why), a.bodies[why])
				return
			}
			claim.Settle(idempotency.Answer{ID: id, Handed: -1, Nodes: h.Nodes}) // no count, as the first has none
			a.traffic.Published(len(pub.Data), 0)                                // who took it each process counts
			a.tell(id, pub, remote, h.Took, debug)
			answer(http.StatusOK, a.sentAcross(id, h.Nodes), nil)
		})
	})
}

// settleUncertain has a key remember that its event may have been published: the same once more could
// come twice, so a repetition is told so too, and nothing is sent.
func settleUncertain(claim *idempotency.Claim, id string, why reason) {
	if why == uncertain {
		claim.Settle(idempotency.Answer{ID: id, Uncertain: true})
	}
}

// unsent is why a publication did not get to all processes.
func unsent(err error) reason {
	switch {
	case err == nil:
		return accepted
	case errors.Is(err, hub.ErrAway):
		return away
	case errors.Is(err, hub.ErrFull):
		return awayFull
	}
	return uncertain
}

// refusedAcross is the header of such an answer. Who may have been heard is not asked to come again.
func refusedAcross(why reason) http.Header {
	header := http.Header{"Content-Type": jsonType} // whose length is the body's
	if why != uncertain {
		header["Retry-After"] = retryAfter
	}
	return header
}

// jsonType is the Content-Type of refusals. It is shared.
var jsonType = []string{respond.Go.Type}

// sentAcross tells the sender the event's id, and how many processes were handed it.
func (a *API) sentAcross(id string, nodes int) http.Header {
	header := http.Header{sends.Header: {id}, "Content-Length": noLength}
	setNodes(header, nodes)
	return header
}

// setNodes says how many processes were handed an event, if that is known.
func setNodes(header http.Header, nodes int) {
	if nodes >= 0 {
		header[sends.NodesHeader] = []string{strconv.Itoa(nodes)}
	}
}

// lost counts and logs what was taken and did not get to all processes.
func (a *API) lost(why reason, remote string) {
	a.refused[why].Add(1)
	a.log.Warn("refused", "reason", refusals[why].name, "status", refusals[why].status, "remote", remote)
}
