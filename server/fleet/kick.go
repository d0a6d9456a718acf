package fleet

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"poosh/server/guard"
	"poosh/server/passing"
	"poosh/server/respond"
)

// Kicked is how many clients were closed.
type Kicked struct {
	Kicked int `json:"kicked"` // by all who say so
	// Nodes are those that were asked, by name; none in one process alone.
	Nodes []KickedAt `json:"nodes,omitempty"`
}

// KickedAt is what one node says of that.
type KickedAt struct {
	Node   string `json:"node"`
	Kicked int    `json:"kicked"`
	Error  string `json:"error,omitempty"` // why it says nothing: nobody knows how many it has closed
}

// ServeKick closes the clients that the query names, on all nodes or on the one that the parameter
// node names, and answers how many there were, with one entry for each node. A node that does not
// answer has an error there, and does not change the status.
func (f *Fleet) ServeKick(w http.ResponseWriter, r *http.Request) {
	whom := without(r.URL.Query())
	if err := f.cfg.Whom(whom); err != nil {
		respond.Go.Error(w, http.StatusBadRequest, err.Error())
		return
	}
	list, ok := f.chosen(w, r.URL.Query())
	if !ok {
		return
	}
	if f.alone() {
		n, err := f.cfg.Kick(whom, r.RemoteAddr)
		if err != nil {
			respond.Go.Error(w, http.StatusBadRequest, err.Error())
			return
		}
		respond.Go.JSON(w, http.StatusOK, Kicked{Kicked: n})
		return
	}
	respond.Go.JSON(w, http.StatusOK, f.kickAt(r.Context(), list, whom, r.RemoteAddr))
}

// kickAt has each node close its clients, all at the same time.
func (f *Fleet) kickAt(ctx context.Context, list []Node, whom url.Values, from string) (sum Kicked) {
	sum.Nodes = make([]KickedAt, len(list))
	var asking sync.WaitGroup
	for i, n := range list {
		asking.Go(func() { // ends within askWithin
			at := &sum.Nodes[i]
			at.Node = n.Name
			var err error
			if f.isHere(n) {
				at.Kicked, err = f.kickHere(whom, from)
			} else {
				var said Kicked
				err = f.ask(ctx, askWithin, n.Name, pathKick, whom, &said)
				at.Kicked = said.Kicked
			}
			if err != nil {
				at.Error = n.why(err).Error()
			}
		})
	}
	asking.Wait()
	for _, at := range sum.Nodes {
		sum.Kicked += at.Kicked
	}
	slices.SortFunc(sum.Nodes, func(a, b KickedAt) int { return compareHere(f.cfg.Name, a.Node, b.Node) })
	return sum
}

// kickHere closes this node's clients. What panics there is the dialects', and costs the answer.
func (f *Fleet) kickHere(whom url.Values, from string) (n int, err error) {
	err = errPanicked
	guard.Call(f.cfg.Log, "closing the clients that an operator names", func() { n, err = f.cfg.Kick(whom, from) }, "remote", from)
	return n, err
}

// compareHere puts the node that is asked first, and the others by name.
func compareHere(here, a, b string) int {
	switch {
	case a == b:
		return 0
	case a == here || b != here && a < b:
		return -1
	}
	return 1
}

// ServeDrain has a node end: the one that is asked, or the one that the parameter node names. Never
// more than one.
func (f *Fleet) ServeDrain(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if !q.Has("node") {
		q.Set("node", Here)
	}
	list, ok := f.chosen(w, q)
	if !ok {
		return
	}
	if f.alone() || f.isHere(list[0]) {
		d := f.cfg.Drain(r.RemoteAddr)
		d.Node = f.cfg.Name
		respond.Go.JSON(w, http.StatusAccepted, d)
		return
	}
	var d Draining
	name := list[0].Name
	if err := f.ask(r.Context(), askWithin, name, pathDrain, nil, &d); err != nil {
		status := http.StatusBadGateway
		if errors.Is(err, passing.ErrUnknown) {
			status = http.StatusNotImplemented
		}
		respond.Go.Error(w, status, "node "+name+" "+list[0].why(err).Error())
		return
	}
	f.cfg.Log.Info("an operator asks for the end of another node", "remote", r.RemoteAddr, "node", name)
	respond.Go.JSON(w, http.StatusAccepted, d)
}
