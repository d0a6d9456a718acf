// Package fleet does for all nodes of a cluster what an operator asks one of them for: it closes
// clients wherever they are, tells of sends on all nodes as they happen, and ends a node by its name.
// It knows no dialect; what a node does itself it is handed.
//
// # How
//
// The node that an operator asks, and that has looked at ADMIN_TOKEN, asks the others over the signed
// links of package passing, each for itself and within a time. So it works while the engine is away,
// and nobody's operators' port has to be open to the others. Who has not answered is named: an answer
// never looks like more than it is. A node of an older version says that it does not know the question.
//
// Sends are asked for again and again: each answer has what has come since the last one. Whoever
// watches slowly asks less often, and what finds no room meanwhile in the other node's queue, which is
// bounded as that of any watcher, is counted there: no node waits for who watches.
//
// # Who owns what
//
// Questions of others are answered on goroutines of the link. A stream has one goroutine for each
// node that it follows, which end with it. What is kept here for another node's watcher ends when
// that has said so or has not asked for a while, as soon as the link is cut over which it asked last, or
// with [Fleet.Close].
package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"time"

	"poosh/server/guard"
	"poosh/server/passing"
	"poosh/server/respond"
	"poosh/server/sends"
)

// Port is what questions of operators are asked at between nodes; see [passing.Node.Answer].
const Port = "ADMIN_PORT"

// What is asked for.
const (
	pathKick  = "/kick"
	pathTail  = "/tail"
	pathDrain = "/drain"
)

// Here is what the parameter node may be in place of a name, for the node that is asked.
const Here = "this"

const (
	// askWithin is how long another node may take for an answer.
	askWithin = 5 * time.Second
	// maxAnswer bounds what is understood of one, in bytes. It has come by then: the link has a bound of its own.
	maxAnswer = 16 << 20
)

// A Node is one of the cluster, as an operator names it: by its name, or by its address.
type Node struct {
	Name, Addr string
	Started    time.Time
	Missing    bool // it was there, and the table of nodes lacks it for the moment
}

// A Draining node's answer; what there is to read is for the operator.
type Draining struct {
	Status string  `json:"status"`
	Node   string  `json:"node,omitempty"` // empty in one process alone
	Delay  float64 `json:"delay_seconds"`
	Over   float64 `json:"over_seconds"` // 0: as fast as is sensible
	Within float64 `json:"within_seconds"`
	Open   int     `json:"connections"` // of clients, now; the overview is of the last second
}

// Config is what one node has. Name, Nodes and Link are zero in one process alone.
type Config struct {
	Name  string        // of this node
	Nodes func() []Node // that are there, or may be; this one too
	Link  *passing.Node

	Feed *sends.Feed
	// Whom returns what is wrong with a query that is to say which clients are meant, and Kick closes
	// those of this node and returns how many there were. from is who asks, for the log.
	Whom func(url.Values) error
	Kick func(q url.Values, from string) (int, error)
	// Drain has this node end.
	Drain func(from string) Draining

	// Trusted says that who asks at the operators' port has shown a token. Nobody else may ask other
	// nodes.
	Trusted bool
	Log     *slog.Logger
}

// A Fleet is what one node does of it. Make one with [New]; its methods may be called from any
// goroutine.
type Fleet struct {
	cfg     Config
	watches watches
}

// New makes one, and has questions of other nodes answered. It starts nothing.
func New(cfg Config) *Fleet {
	f := &Fleet{cfg: cfg}
	f.watches.init()
	if cfg.Link != nil {
		cfg.Link.Answer(Port, f.answer)
	}
	return f
}

// Close ends what is told to other nodes. Theirs is to ask no more.
func (f *Fleet) Close() { f.watches.close() }

func (f *Fleet) alone() bool { return f.cfg.Link == nil }

// A refused question, as it is answered: with 200, since other codes say that it did not get here.
type refused struct {
	Error string `json:"error,omitempty"`
}

// errPanicked is all that is known of what was not done to its end.
var errPanicked = errors.New("cannot answer: its log says why")

// answer answers another node.
func (f *Fleet) answer(q *passing.Question) {
	text := respond.Go.Body(refused{errPanicked.Error()})
	guard.Call(f.cfg.Log, "answering another node", func() { text = f.answerTo(q) }, "node", q.From, "path", q.Path)
	q.Answer(text)
}

// known are the parameters of what is asked for.
var known = map[string][]string{
	pathKick: {"id", "room", "address", "dialect", "app"}, pathDrain: nil,
	pathTail: {"dialect", "app", "room", "payload", "watch", "begin", "end"},
}

// knows reports whether a question has nothing but what is known, each once: a later version may ask for
// less than this one would do.
func knows(q *passing.Question) bool {
	for name, values := range q.Query {
		if len(values) != 1 || !slices.Contains(known[q.Path], name) {
			return false
		}
	}
	return true
}

func (f *Fleet) answerTo(q *passing.Question) []byte {
	if !knows(q) {
		return respond.Go.Body(refused{passing.ErrUnknown.Error()})
	}
	switch q.Path {
	case pathKick:
		n, err := f.cfg.Kick(q.Query, "node "+q.From)
		if err != nil {
			return respond.Go.Body(refused{err.Error()})
		}
		return respond.Go.Body(Kicked{Kicked: n})
	case pathDrain:
		d := f.cfg.Drain("node " + q.From)
		d.Node = f.cfg.Name
		return respond.Go.Body(d)
	case pathTail:
		return f.answerTail(q)
	}
	return respond.Go.Body(refused{passing.ErrUnknown.Error()})
}

// errNoToken is why other nodes are not asked.
var errNoToken = errors.New("is not asked: other nodes are with ADMIN_TOKEN alone")

// ask asks another node, within a time, and reads its answer into to.
func (f *Fleet) ask(ctx context.Context, within time.Duration, node, path string, query url.Values, to any) error {
	if !f.cfg.Trusted {
		return errNoToken
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	body, err := f.cfg.Link.Ask(ctx, node, Port, path, query)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("did not answer within %v: it may have done it", within)
	case err != nil:
		return err
	case len(body) > maxAnswer:
		return errors.New("answers too much")
	}
	var no refused
	if err := json.Unmarshal(body, &no); err != nil {
		return fmt.Errorf("answers what is not understood: %w", err)
	}
	switch no.Error {
	case "":
	case passing.ErrUnknown.Error():
		return passing.ErrUnknown
	default:
		return errors.New(no.Error)
	}
	return json.Unmarshal(body, to)
}

// nodes are those of the cluster that a parameter chooses: all without one.
func (f *Fleet) nodes(q url.Values) ([]Node, error) {
	if f.alone() {
		if name := q.Get("node"); name != "" && name != Here {
			return nil, fmt.Errorf("node %q: this process is alone", name)
		}
		return nil, nil
	}
	name, list := q.Get("node"), f.all()
	if !q.Has("node") {
		return list, nil
	}
	if name == Here || name == f.cfg.Name {
		return []Node{{Name: f.cfg.Name}}, nil
	}
	var found []Node
	for _, n := range list {
		switch {
		case n.Name == name:
			return []Node{n}, nil
		case n.Addr == "" || n.Addr != name:
		case found == nil || n.Started.After(found[0].Started): // one that died may be listed yet
			found = []Node{n}
		}
	}
	if found == nil {
		return nil, fmt.Errorf("node %.80q is not there: `poosh status` lists those that are", name)
	}
	return found, nil
}

// all are the nodes that there are, as far as this one can know. The table lacks some for a moment, this
// one too, after the engine has lost it: those to which a link is open are there still.
func (f *Fleet) all() []Node {
	list := f.cfg.Nodes()
	for _, name := range append(f.cfg.Link.Linked(), f.cfg.Name) {
		if !slices.ContainsFunc(list, func(n Node) bool { return n.Name == name }) {
			list = append(list, Node{Name: name, Missing: name != f.cfg.Name})
		}
	}
	return list
}

// errMissing is why one of them is not asked.
var errMissing = errors.New("is missing in the table of nodes, which the engine has lost, and may be there: ask again in a moment")

// why says why a node has not answered.
func (n Node) why(err error) error {
	if n.Missing && errors.Is(err, passing.ErrNoNode) {
		return errMissing
	}
	return err
}

func (f *Fleet) isHere(n Node) bool { return n.Name == f.cfg.Name }

// chosen is nodes, or it has answered.
func (f *Fleet) chosen(w http.ResponseWriter, q url.Values) (list []Node, ok bool) {
	list, err := f.nodes(q)
	if err != nil {
		respond.Go.Error(w, http.StatusNotFound, err.Error())
		return nil, false
	}
	return list, true
}

// without is a query without the choice of nodes, which the others are not told.
func without(q url.Values) url.Values {
	rest := make(url.Values, len(q))
	for name, values := range q {
		if name != "node" {
			rest[name] = values
		}
	}
	return rest
}
