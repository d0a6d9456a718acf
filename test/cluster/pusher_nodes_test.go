package cluster

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
	"poosh/server/pusher/pushertest"
	"poosh/test/process"
)

// pusherClients are the clients and the library of Pusher, and what drives them.
var pusherClients = filepath.Join("..", "pusher")

// A site is a cluster that serves an app of Pusher: three nodes, a port that hands each connection
// to the next of them, the clients and the server library, which sends through that port, and the
// application that takes webhooks.
type site struct {
	t     *testing.T
	redis *redistest.Server
	nodes []*pusherNode
	front *process.Front
	turn  atomic.Int64 // of front
	hooks *hookSite

	in    io.Writer
	calls int

	mu      sync.Mutex // guards what follows
	reports map[string][]report
	ended   bool
}

// A pusherNode is one process, with the port of Pusher.
type pusherNode struct {
	*node
	pusher int
}

// A report is one thing that a client saw; drive/clients.js has the words.
type report struct{ ID, Saw, Name, Text, Channel string }

// newSite starts all of it.
func newSite(t *testing.T, more ...string) *site {
	t.Helper()
	s := &site{t: t, redis: redistest.Start(t), reports: make(map[string][]report), hooks: newHookSite(t)}
	for range 3 {
		s.add(more...)
	}
	s.front = process.Serve(t, s.balance)
	t.Cleanup(func() {
		for i, n := range s.nodes {
			if t.Failed() {
				log := n.Log()
				t.Logf("node %d:\n%s", i+1, log[max(0, len(log)-6000):])
			}
		}
	})
	s.drive()
	return s
}

// add starts one more node.
func (s *site) add(more ...string) {
	s.t.Helper()
	port := process.FreePort(s.t)
	s.nodes = append(s.nodes, &pusherNode{pusher: port, node: startNode(s.t, s.redis, append([]string{
		"PUSHER_PORT=" + strconv.Itoa(port), "PUSHER_APP_ID=" + pushertest.ID, "PUSHER_APP_KEY=" + pushertest.Key, "PUSHER_APP_SECRET=" + pushertest.Secret,
		"PUSHER_CLIENT_EVENTS=on", "PUSHER_WATCHLIST=on", "PUSHER_WEBHOOK_URL=" + s.hooks.URL,
	}, more...)...)})
}

// balance hands a connection to the next node that takes it.
func (s *site) balance(f *process.Front, c net.Conn) {
	for range s.nodes {
		n := s.nodes[int(s.turn.Add(1))%len(s.nodes)]
		if up, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(n.pusher)); err == nil {
			f.Join(c, up)
			return
		}
	}
}

// drive starts the process of the clients, which ends with the test.
func (s *site) drive() {
	s.t.Helper()
	settings, err := json.Marshal(map[string]any{"app": pushertest.ID, "key": pushertest.Key, "secret": pushertest.Secret,
		"masterKey": "VGhlIDMyIGNoYXJzIGxvbmcgZW5jcnlwdGlvbiBrZXk=", "port": s.front.Port})
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command("node", filepath.Join(pusherClients, "drive", "drive.js"), string(settings))
	in, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.in = in
	done := make(chan struct{})
	go func() { // ends with the process
		defer close(done)
		lines := bufio.NewScanner(out)
		lines.Buffer(nil, 1<<24)
		for lines.Scan() {
			var r report
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				r = report{Saw: "fault", Text: lines.Text()}
			}
			s.mu.Lock()
			s.reports[r.ID] = append(s.reports[r.ID], r)
			s.mu.Unlock()
		}
		s.mu.Lock()
		s.ended = true
		s.mu.Unlock()
	}()
	s.t.Cleanup(func() {
		_ = in.Close()
		<-done
		if err := cmd.Wait(); err != nil {
			s.t.Errorf("the clients: %v\n%s", err, errs.String())
		}
	})
	s.wait("", "ready", "", "", 1)
}

// do has the process of the clients do something.
func (s *site) do(cmd map[string]any) {
	s.t.Helper()
	line, err := json.Marshal(cmd)
	if err == nil {
		_, err = s.in.Write(append(line, '\n'))
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// seen are the reports of a client so far; an empty saw, name or channel is any.
func (s *site) seen(id, saw, name, channel string) (found []report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.reports[id] {
		if (saw == "" || r.Saw == saw) && (name == "" || r.Name == name) && (channel == "" || r.Channel == channel) {
			found = append(found, r)
		}
	}
	return found
}

// wait waits for so many of them.
func (s *site) wait(id, saw, name, channel string, n int) (found []report) {
	s.t.Helper()
	for end := time.Now().Add(process.Patience); ; time.Sleep(10 * time.Millisecond) {
		if found = s.seen(id, saw, name, channel); len(found) >= n {
			return found
		}
		s.mu.Lock()
		faulty := s.ended || slices.ContainsFunc(s.reports[""], func(r report) bool { return r.Saw == "fault" })
		s.mu.Unlock()
		if faulty || time.Now().After(end) {
			var story strings.Builder
			for _, r := range append(s.seen(id, "", "", ""), s.seen("", "fault", "", "")...) {
				fmt.Fprintf(&story, "\n  %s %s %s %.300s", r.Saw, r.Name, r.Channel, r.Text)
			}
			s.t.Fatalf("%s: waited in vain for %d of %s %s %s; it saw%s", id, n, saw, name, channel, story.String())
		}
	}
}

// A page is a client of pusher-js.
type page struct {
	*site
	id, version, user string
}

// open connects a client of a version to a port as a user. more are its options, and what
// drive/clients.js has beside them.
func (s *site) open(port int, version, id, user string, more map[string]any) *page {
	s.t.Helper()
	params := map[string]any{"params": map[string]any{"user": user, "watch": "u-0,nobody"}}
	options := map[string]any{"wsHost": "127.0.0.1", "wsPort": port, "forceTLS": false, "enabledTransports": []string{"ws"},
		"disableStats": true, "cluster": "mt1", "authEndpoint": "SITE/auth", "auth": params}
	if version != "4" {
		options["userAuthentication"] = map[string]any{"endpoint": "SITE/user", "transport": "ajax", "params": params["params"]}
	}
	cmd := map[string]any{"op": "open", "id": id, "version": version, "key": pushertest.Key, "options": options}
	for k, v := range more {
		cmd[k] = v
	}
	s.do(cmd)
	p := &page{s, id, version, user}
	s.wait(id, "connected", "", "", 1)
	return p
}

// crowd opens a client of each version at each node, and one of each through the front; each is
// another user, u-0 and so on.
func (s *site) crowd() (pages []*page) {
	s.t.Helper()
	ports := []int{s.nodes[0].pusher, s.nodes[1].pusher, s.nodes[2].pusher, s.front.Port}
	for i, port := range ports {
		for _, version := range []string{"4", "7", "8"} {
			where := fmt.Sprint("node ", i+1)
			if i == 3 {
				where = "any node"
			}
			pages = append(pages, s.open(port, version, version+" at "+where, fmt.Sprint("u-", len(pages)), nil))
		}
	}
	return pages
}

func (p *page) op(op string, more ...any) {
	p.t.Helper()
	cmd := map[string]any{"op": op, "id": p.id}
	for i := 0; i < len(more); i += 2 {
		cmd[more[i].(string)] = more[i+1]
	}
	p.do(cmd)
}

// join subscribes and waits until that is confirmed.
func (p *page) join(channels ...string) {
	p.t.Helper()
	for _, channel := range channels {
		p.op("subscribe", "channel", channel)
	}
	for _, channel := range channels {
		p.wait(p.id, "channel", "pusher:subscription_succeeded", channel, 1)
	}
}

// events waits for so many events of a name in a channel, and returns the data of all so far.
func (p *page) events(channel, name string, n int) (texts []string) {
	p.t.Helper()
	for _, r := range p.wait(p.id, "channel", name, channel, n) {
		texts = append(texts, r.Text)
	}
	return texts
}

// socket is the id of its newest connection.
func (p *page) socket() string {
	p.t.Helper()
	all := p.wait(p.id, "connected", "", "", 1)
	return all[len(all)-1].Name
}

// members are who the page was told is in a channel, by the roster that it got last and what came
// and went since, sorted.
func (p *page) members(channel string) (ids []string) {
	for _, r := range p.seen(p.id, "", "", channel) {
		var m struct {
			ID  string
			IDs [][2]json.RawMessage
		}
		if r.Saw != "members" && r.Name != "pusher:member_added" && r.Name != "pusher:member_removed" {
			continue
		}
		_ = json.Unmarshal([]byte(r.Text), &m)
		switch {
		case r.Saw == "members":
			ids = nil
			for _, pair := range m.IDs {
				ids = append(ids, strings.Trim(string(pair[0]), `"`))
			}
		case r.Name == "pusher:member_added":
			ids = append(ids, m.ID)
		default:
			ids = slices.DeleteFunc(ids, func(id string) bool { return id == m.ID })
		}
	}
	slices.Sort(ids)
	return ids
}

// changes are the members of a channel that came, or that went, in the order in which the page was told.
func (p *page) changes(channel, name string) (ids []string) {
	for _, r := range p.seen(p.id, "channel", "pusher:"+name, channel) {
		var m struct{ ID string }
		_ = json.Unmarshal([]byte(r.Text), &m)
		ids = append(ids, m.ID)
	}
	return ids
}

// unharmed reports the pages whose connection was not one all the time.
func unharmed(t *testing.T, pages []*page) {
	t.Helper()
	for _, p := range pages {
		var states []string
		for _, r := range p.seen(p.id, "state", "", "") {
			states = append(states, r.Name)
		}
		if got := strings.Join(states, " "); got != "connected" {
			t.Errorf("%s was: %s", p.id, got)
		}
		for _, r := range p.seen(p.id, "error", "", "") {
			t.Errorf("%s got the error %s", p.id, r.Text)
		}
	}
}

// call has the server library do something, at whatever node.
func (s *site) call(name string, args ...any) report {
	s.t.Helper()
	s.calls++
	id := fmt.Sprint("call ", s.calls)
	s.do(map[string]any{"op": "call", "id": id, "call": name, "args": args})
	return s.wait(id, "reply", "", "", 1)[0]
}

// ask sends a signed request to a node.
func (n *pusherNode) ask(method, path string, query url.Values, body string) (status int, text string, err error) {
	at := "http://127.0.0.1:" + strconv.Itoa(n.pusher) + pushertest.Sign(method, "/apps/"+pushertest.ID+path, query, body)
	req, err := http.NewRequest(method, at, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	return res.StatusCode, string(all), err
}

// trigger sends an event at a node, which must take it.
func (s *site) trigger(at int, event, data, except string, channels ...string) {
	s.t.Helper()
	body, err := json.Marshal(map[string]any{"name": event, "data": data, "channels": channels, "socket_id": except})
	if err != nil {
		s.t.Fatal(err)
	}
	text := strings.Replace(string(body), `,"socket_id":""`, "", 1)
	status, answer, err := s.nodes[at%len(s.nodes)].ask("POST", "/events", nil, text)
	if err != nil || status != 200 || answer != "{}" {
		s.t.Fatalf("node %d: %d %s, %v", at%len(s.nodes)+1, status, answer, err)
	}
}

// answers waits until each of some nodes answers a question so.
func (s *site) answers(nodes []*pusherNode, path, query, want string) {
	s.t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, n := range nodes {
		got := ""
		s.until(func() string { return fmt.Sprintf("%s?%s to be %s; it is %s", path, query, want, got) }, func() bool {
			status, text, err := n.ask("GET", path, values, "")
			got = fmt.Sprint(status, " ", sortedUsers(text), " ", err)
			return err == nil && status == 200 && sortedUsers(text) == want
		})
	}
}

// sortedUsers has the users of an answer in their order.
func sortedUsers(text string) string {
	var answer struct{ Users []struct{ ID string } }
	if !strings.HasPrefix(text, `{"users":[`) || json.Unmarshal([]byte(text), &answer) != nil {
		return text
	}
	var ids []string
	for _, u := range answer.Users {
		ids = append(ids, u.ID)
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

// until waits until something is so.
func (s *site) until(what func() string, done func() bool) {
	s.t.Helper()
	for end := time.Now().Add(process.Patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("waited in vain for %s", what())
		}
	}
}

// A hookSite is the application that takes webhooks.
type hookSite struct {
	*httptest.Server
	mu     sync.Mutex // guards what follows
	events []string
}

func newHookSite(t *testing.T) *hookSite {
	h := &hookSite{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body struct{ Events []json.RawMessage }
		_ = json.NewDecoder(r.Body).Decode(&body)
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, e := range body.Events {
			h.events = append(h.events, string(e))
		}
	}))
	t.Cleanup(h.Close)
	return h
}

// told are the webhooks about channels whose names hold a text, sorted.
func (h *hookSite) told(about string) (list []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if strings.Contains(e, about) {
			list = append(list, e)
		}
	}
	slices.Sort(list)
	return list
}

// hooked waits until the application was told so about a channel, each once, and that is all.
func (s *site) hooked(channel string, want ...string) {
	s.t.Helper()
	slices.Sort(want)
	s.until(func() string {
		return fmt.Sprintf("webhooks\n %s\ntold\n %s", strings.Join(want, "\n "), strings.Join(s.hooks.told(channel), "\n "))
	}, func() bool { return len(s.hooks.told(channel)) >= len(want) })
	// A node that is killed before Redis knows that it told something has that told again.
	s.until(func() string { return "Redis knows that the application was told" }, func() bool {
		telling, err := s.redis.Try("EVAL", "return tostring(#redis.call('KEYS', '*:dh:*'))", "0")
		return err == nil && strings.TrimSpace(telling) == "0"
	})
	if got := s.hooks.told(channel); !slices.Equal(got, want) {
		s.t.Errorf("told\n %s\nwant\n %s", strings.Join(got, "\n "), strings.Join(want, "\n "))
	}
}
