//go:build unix

package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"poosh/auth"
	"poosh/server/cluster/redistest"
	"poosh/server/pusher/pushertest"
)

// A rigNode is one process with all dialects. Its own port is that of clients.
type rigNode struct {
	*node
	wires                         redistest.Wires
	pusher, socktopus, pushsocket int
}

func (n *rigNode) at(port int) string { return fmt.Sprint("127.0.0.1:", port) }

// rigSender has connections of its own to each node, and waits for longer than one stands still.
var rigSender = &http.Client{Timeout: rigPatience, Transport: &http.Transport{MaxIdleConnsPerHost: 32, IdleConnTimeout: 20 * time.Second}}

// An answer is what a sender is told.
type answer struct {
	status int
	header http.Header
	body   string
	err    error
}

func asked(method, url, token string, body []byte) answer {
	req, err := http.NewRequest(method, url, bytes.NewReader(body))
	if err != nil {
		return answer{err: err}
	}
	if token != "" {
		req.Header.Set("Authorization", token)
	}
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := rigSender.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(text), err}
}

// fate is what became of what was sent, by what its sender was told; strange is an answer that should not be.
func (a answer) fate() (f fate, strange string) {
	switch {
	case a.err != nil:
		return unsure, ""
	case a.status == http.StatusOK:
		return taken, ""
	case a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") != "":
		return refused, ""
	case a.status == http.StatusServiceUnavailable:
		return unsure, ""
	}
	return unsure, fmt.Sprint("a sender is answered ", a.status, " ", a.body)
}

// sends sends a letter by POST /send; the room everyone is none.
func (r *rig) sends(n *rigNode, room, except string) (*letter, fate) {
	l := r.truth.write(room, except)
	payload, _ := json.Marshal(l.text)
	body := map[string]any{"event": "e", "payload": json.RawMessage(payload)}
	if room != everyone {
		body["room"] = room
	}
	if except != "" {
		body["except"] = except
	}
	text, _ := json.Marshal(body)
	return l, r.settle(n, asked(http.MethodPost, "http://"+n.at(n.server)+"/send", auth.PooshSign(secret, payload), text), l)
}

// triggers sends a letter to each of some channels of Pusher.
func (r *rig) triggers(n *rigNode, except string, channels ...string) (list []*letter, f fate) {
	texts := make([]string, len(channels))
	for i, channel := range channels {
		l := r.truth.write(channel, except)
		list, texts[i] = append(list, l), l.text
	}
	body := map[string]any{"name": "e", "channels": channels, "data": strings.Join(texts, " ")}
	if except != "" {
		body["socket_id"] = except
	}
	text, _ := json.Marshal(body)
	return list, r.settle(n, r.api(n, http.MethodPost, "/events", nil, string(text)), list...)
}

// api asks a node by the HTTP API of Pusher.
func (r *rig) api(n *rigNode, method, path string, query url.Values, body string) answer {
	return asked(method, "http://"+n.at(n.pusher)+pushertest.Sign(method, "/apps/"+pushertest.ID+path, query, body), "", []byte(body))
}

// delivers sends a letter to each of some ids of Socktopus.
func (r *rig) delivers(n *rigNode, ids ...string) (list []*letter, succeeded []string, f fate) {
	messages := make([]map[string]string, len(ids))
	byID := make(map[string]*letter)
	for i, id := range ids {
		l := r.truth.write(id, "")
		list = append(list, l)
		byID[id] = l
		messages[i] = map[string]string{"recipient": id, "content": l.text}
	}
	text, _ := json.Marshal(map[string]any{"secretName": "myapp", "secret": socktopusSecret, "messages": messages})
	a := asked(http.MethodPost, "http://"+n.at(n.socktopus)+"/send", "", text)
	f, _ = a.fate()
	var said struct{ Succeeded, Failed []struct{ Recipient string } }
	if f != taken || json.Unmarshal([]byte(a.body), &said) != nil {
		return list, nil, r.settle(n, a, list...)
	}
	r.answered(n, a, f)
	failed := refused
	if r.round.fault.ends || r.round.fault.apart || r.round.fault.reset {
		failed = unsure // who had it may have been killed when it had passed it on; and beside others that have succeeded, one may have failed of which nobody knows
	}
	for _, m := range said.Failed {
		r.truth.answered(failed, byID[m.Recipient])
	}
	for _, m := range said.Succeeded {
		succeeded = append(succeeded, m.Recipient)
		r.truth.answered(taken, byID[m.Recipient])
	}
	if len(said.Failed)+len(said.Succeeded) != len(ids) {
		r.blame("of %v, /send says %s", ids, a.body)
	}
	return list, succeeded, taken
}

// settle notes what became of letters that were sent to a node.
func (r *rig) settle(n *rigNode, a answer, letters ...*letter) fate {
	f, strange := a.fate()
	if strange != "" {
		r.blame("%s", strange)
	}
	r.truth.answered(f, letters...)
	r.answered(n, a, f)
	return f
}

// answered notes what a node told a sender, and whether it had a cause for it.
func (r *rig) answered(n *rigNode, a answer, f fate) {
	r.answers[f].Add(1)
	fault := &r.round.fault
	if fault.reset || (fault.ends || fault.apart) && n == r.nodes[r.round.victim] {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sound++
	if f != taken {
		r.unsound = append(r.unsound, fmt.Sprintf("%.3f node %d: %d %.100s %v", time.Since(r.began).Seconds(), slices.Index(r.nodes, n), a.status, a.body, a.err))
	}
}

// quietSenders looks whether nodes that nothing had happened to took what they were sent. A few they may refuse
// on a machine that is very busy.
func (r *rig) quietSenders(stalled bool) {
	r.mu.Lock()
	all, bad := r.sound, r.unsound
	r.sound, r.unsound = 0, nil
	r.mu.Unlock()
	switch {
	case len(bad) > max(2, all/50) && !stalled:
		r.blame("of %d sends to nodes without a fault %d were not taken: %s", all, len(bad), strings.Join(bad[:min(6, len(bad))], "; "))
	case len(bad) > 0:
		r.t.Logf("round %d: of %d sends to nodes without a fault %d were not taken: %s", r.round.number, all, len(bad), strings.Join(bad, "; "))
	case !r.round.fault.reset && all < 50:
		r.blame("only %d sends were answered by nodes without a fault", all)
	}
}
