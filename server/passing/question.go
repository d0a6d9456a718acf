package passing

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"poosh/server/socketio"
)

// Beside requests of clients, nodes ask each other what operators want to know or have done of all of
// them. Such a question goes over the same links, so it is signed as all is, to a port that is none of
// clients', and its answer is one whole body.

// Why a question has no answer.
var (
	// ErrNoNode says that no such node is there.
	ErrNoNode = errors.New("is not there")
	// ErrUnreachable says that the node cannot be reached, or went meanwhile: it may have done what it
	// was asked for.
	ErrUnreachable = errors.New("is out of reach")
	// ErrUnknown says that the node is of a version that does not know the question, and did nothing.
	ErrUnknown = errors.New("is of a version that does not know what it is asked for")
	// ErrBusy says that too much waits for the node, or too many ask it; it did nothing.
	ErrBusy = errors.New("has too much to do, try again")
)

// maxQuestions bounds those of all other nodes that this one answers at a time: each has a goroutine.
const maxQuestions = 256

// Ask asks another node at a port that it has by [Node.Answer], and returns the body of its answer.
// It waits until ctx ends; then, and with [ErrUnreachable], nobody knows whether the other node has
// done something.
func (n *Node) Ask(ctx context.Context, name, port, path string, query url.Values) ([]byte, error) {
	addr, there := n.where(name)
	if !there || name == n.opt.Name {
		return nil, ErrNoNode
	}
	target := path
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	r := &http.Request{Method: http.MethodPost, RequestURI: target}
	l, came := n.link(name, addr), make(waits, 1)
	p := &passing{link: l, to: came, post: true}
	if why, ok := l.ask(p, requestFrame(port, r, nil)); !ok {
		p.fail(why)
	}
	select {
	case a := <-came:
		switch a.status {
		case http.StatusOK:
			return a.body, nil
		case http.StatusForbidden, http.StatusNotFound, http.StatusBadRequest:
			return nil, ErrUnknown
		case http.StatusServiceUnavailable:
			return nil, ErrBusy
		case http.StatusBadGateway:
			return nil, ErrUnreachable
		}
		return nil, fmt.Errorf("answers %d", a.status)
	case <-ctx.Done():
		p.Abandoned()
		return nil, ctx.Err()
	}
}

// Linked lists the nodes to which a link is open, in no order: those are there, whatever is known of them
// at this moment.
func (n *Node) Linked() (names []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, p := range n.peers {
		if p.link != nil && p.link.open() {
			names = append(names, name)
		}
	}
	return names
}

// Answer has f answer the questions that other nodes ask at a port, each on a goroutine of its own:
// it calls [Question.Answer] once and returns, soon after the question's context has ended at the
// latest. Call it before [Node.Serve].
func (n *Node) Answer(port string, f func(*Question)) {
	places := make(chan struct{}, maxQuestions)
	n.Add(port, Port{counts: servedQuestion, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked, ok := w.(*writer) // or it came to a port of clients'
		if !ok {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		if !n.takes(places) {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		q := &Question{From: asked.link.name, Path: strings.Clone(r.URL.Path), Query: r.URL.Query(), link: asked.link.open}
		q.ctx, q.end = context.WithCancel(n.over)
		w.Header().Set("Content-Type", "application/json")
		q.answer = asked.Later(q)
		go func() { // ends with f
			defer n.answered()
			defer func() { <-places }()
			defer q.end()
			f(q)
		}()
	})})
}

// takes has Close wait for one more question, if it is taken and there is a place for it.
func (n *Node) takes(places chan struct{}) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.over.Err() != nil {
		return false
	}
	select {
	case places <- struct{}{}:
		n.asked.now++
		return true
	default:
		return false
	}
}

// questions are those of other nodes that are being answered.
type questions struct {
	now  int           // guarded by the node's mu
	gone chan struct{} // has a value when one has been answered
}

func (n *Node) answered() {
	n.mu.Lock()
	n.asked.now--
	n.mu.Unlock()
	select {
	case n.asked.gone <- struct{}{}:
	default:
	}
}

// questionGrace is how long questions may take for their end past that of [Node.Close]'s context.
const questionGrace = time.Second

// waitForQuestions waits until all are answered, or for a moment behind ctx: what an operator has asked
// for may hang in a dialect, and is not to keep the process.
func (n *Node) waitForQuestions(ctx context.Context) {
	late := make(chan struct{})
	defer context.AfterFunc(ctx, func() { time.AfterFunc(questionGrace, func() { close(late) }) })()
	for {
		n.mu.Lock()
		left := n.asked.now
		n.mu.Unlock()
		if left == 0 {
			return
		}
		select {
		case <-n.asked.gone:
		case <-late:
			n.opt.Log.Error("questions of other nodes' operators are not answered to their end: they are left behind", "questions", left)
			return
		}
	}
}

// A Question is what another node asks.
type Question struct {
	From  string // the node that asks
	Path  string // what for
	Query url.Values

	link   context.Context
	ctx    context.Context
	end    context.CancelFunc
	answer socketio.Answerer
}

// Context ends when nobody waits for the answer any more.
func (q *Question) Context() context.Context { return q.ctx }

// Link ends as soon as the link is cut over which the question came: nobody gets the answer then. The
// question's own context ends a moment later.
func (q *Question) Link() context.Context { return q.link }

// Answer answers. Call it once; the body is not to change any more.
func (q *Question) Answer(body []byte) { q.answer.Answer(body) }

// Abandoned implements the Waiter of package http1.
func (q *Question) Abandoned() { q.end() }
