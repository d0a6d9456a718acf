package cluster

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"poosh/auth"
	"poosh/server/cluster/redistest"
)

const socktopusSecret = "s3cret-of-myapp"

// socktopus starts three nodes, and what drives clients of the npm package ws.
func socktopus(t *testing.T) (*redistest.Server, []*node, *drive) {
	t.Helper()
	redis, nodes := threeDialects(t, "SOCKTOPUS_PORT", "MYAPP_SOCKTOPUS_SECRET="+socktopusSecret)
	return redis, nodes, startDrive(t, "../socktopus")
}

func socktopusToken(id string) string {
	return auth.NewSocktopus("MyApp", socktopusSecret, id, time.Now())
}

// joins has a client join, without a wait.
func (d *drive) joins(name string, n *node, token string) {
	d.t.Helper()
	d.do("join", "name", name, "url", n.URL(), "token", token)
}

// synced has clients ping, and waits until each is answered.
func (d *drive) synced(names ...string) {
	d.t.Helper()
	before := make(map[string]int)
	for _, name := range names {
		d.until(name+" to be let in", func() bool { return len(d.texts(name, "open")) > 0 })
		before[name] = d.pongs(name)
		d.do("say", "name", name, "text", "PING")
	}
	d.until(fmt.Sprint("answers to ", names), func() bool {
		return !slices.ContainsFunc(names, func(name string) bool { return d.pongs(name) == before[name] })
	})
}

func (d *drive) pongs(name string) (n int) {
	for _, text := range d.texts(name, "frame") {
		if text == "PONG" {
			n++
		}
	}
	return n
}

// got is what a client was sent.
func (d *drive) got(name string) (list []string) {
	for _, text := range d.texts(name, "frame") {
		if data, ok := strings.CutPrefix(text, "DATA:"); ok {
			list = append(list, data)
		}
	}
	return list
}

// ended waits until a client is told CLOSE and closed, as who was replaced or kicked is.
func (d *drive) ended(name string) {
	d.t.Helper()
	d.until(name+" to be closed", func() bool { return len(d.texts(name, "closed")) > 0 })
	if code := d.texts(name, "closed")[0]; code != "1000" || !d.has(name, "frame", "CLOSE") {
		d.t.Errorf("%s was closed with %s, and told %q", name, code, d.texts(name, "frame"))
	}
}

// ask posts to an application's door.
func (n *node) ask(path, rest string) (status int, header http.Header, body string, err error) {
	res, err := http.Post(n.URL()+path, "application/json", strings.NewReader(`{"secretName":"myapp","secret":"`+socktopusSecret+`",`+rest+`}`))
	if err != nil {
		return 0, nil, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.StatusCode, res.Header, string(text), err
}

// errRefused is what a node says that takes nothing for now.
var errRefused = errors.New("503")

// sendTo sends a text to ids, and returns those that have it.
func (n *node) sendTo(text string, ids ...string) (succeeded []string, err error) {
	var list []string
	for _, id := range ids {
		list = append(list, fmt.Sprintf(`{"recipient":%q,"content":%q}`, id, text))
	}
	status, header, body, err := n.ask("/send", `"messages":[`+strings.Join(list, ",")+`]`)
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusServiceUnavailable && header.Get("Retry-After") != "" && strings.HasPrefix(body, `{"code":503,`):
		return nil, errRefused
	case status != http.StatusOK:
		return nil, fmt.Errorf("%d %s", status, body)
	}
	var answer struct {
		Succeeded, Failed []struct{ Recipient string }
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || len(answer.Succeeded)+len(answer.Failed) != len(ids) {
		return nil, fmt.Errorf("%s, %v", body, err)
	}
	for _, m := range answer.Succeeded {
		succeeded = append(succeeded, m.Recipient)
	}
	return succeeded, nil
}

// reaches sends a text to ids, which all have to be there.
func (d *drive) reaches(n *node, text string, ids ...string) {
	d.t.Helper()
	if got, err := n.sendTo(text, ids...); err != nil || !slices.Equal(got, ids) {
		d.t.Errorf("of %v %v have succeeded, %v", ids, got, err)
	}
}

// An id is one connection's over all nodes, the last that joined; and a kick holds on all.
func TestSocktopusIDs(t *testing.T) {
	_, nodes, d := socktopus(t)
	ids := []string{"a", "b", "c", "\u00e9 \U0001F600"}
	for i, id := range ids {
		d.joins(id, nodes[i%3], socktopusToken(id))
	}
	d.synced(ids...)
	for i, n := range nodes {
		d.reaches(n, fmt.Sprint(i), ids...)
	}
	for _, id := range ids {
		d.until("messages to "+id, func() bool { return len(d.got(id)) >= 3 })
		if got := d.got(id); !slices.Equal(got, []string{"0", "1", "2"}) {
			t.Errorf("%s has %v", id, got)
		}
	}
	d.joins("newer", nodes[1], socktopusToken("a"))
	d.synced("newer")
	d.ended("a")
	d.reaches(nodes[2], "for the newer", "a")
	d.until("a message to the newer", func() bool { return d.has("newer", "frame", "DATA:for the newer") })

	var names []string
	for i := range 12 { // at once
		names = append(names, fmt.Sprint("raced", i))
		d.joins(names[i], nodes[i%3], socktopusToken("raced"))
	}
	left := func() []string {
		return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return len(d.texts(name, "closed")) > 0 })
	}
	d.until("one to be left", func() bool { return len(left()) == 1 })
	winner := left()[0]
	d.synced(winner)
	for i, n := range nodes {
		d.reaches(n, fmt.Sprint(i), "raced")
	}
	d.until("messages to who is left", func() bool { return len(d.got(winner)) == 3 })
	for _, name := range names {
		if name != winner {
			d.ended(name)
			if got := d.got(name); len(got) > 0 {
				t.Errorf("%s has %v", name, got)
			}
		}
	}
	kicks(t, nodes, d)
	d.unless("closed", "c", winner)
}

// kicks kicks a, who is on the second node, and somebody who is not there.
func kicks(t *testing.T, nodes []*node, d *drive) {
	old, nobody := socktopusToken("a"), socktopusToken("nobody")
	time.Sleep(2 * time.Millisecond) // tokens have times in milliseconds
	if status, _, body, err := nodes[2].ask("/kick", `"connections":["a","nobody"]`); status != http.StatusOK || body != "200" || err != nil {
		t.Errorf("kick: %d %s, %v", status, body, err)
	}
	d.ended("newer")
	for i, n := range nodes {
		for id, token := range map[string]string{"a": old, "nobody": nobody} {
			name := fmt.Sprintf("%s again %d", id, i)
			d.joins(name, n, token)
			d.ended(name)
		}
		if got, err := n.sendTo("x", "a"); len(got) > 0 || err != nil {
			t.Errorf("who was kicked is there: %v, %v", got, err)
		}
	}
	d.joins("back", nodes[0], socktopusToken("a"))
	d.synced("back")
	d.reaches(nodes[1], "back", "a")
	d.until("a message", func() bool { return d.has("back", "frame", "DATA:back") })
}

// A stream sends numbered texts to an id at one node until it is stopped.
type stream struct {
	stopping atomic.Bool
	done     chan struct{}
	taken    []string // that have succeeded; may be read once done is closed
	strange  error
}

func (n *node) streams(id string) *stream {
	s := &stream{done: make(chan struct{})}
	go func() { // ends when it is stopped, or the node is gone
		defer close(s.done)
		for i := 0; !s.stopping.Load(); i++ {
			text := fmt.Sprintf("s%05d", i)
			switch got, err := n.sendTo(text, id); {
			case errors.Is(err, errRefused):
			case err != nil:
				s.strange = err
				return
			case len(got) == 1:
				s.taken = append(s.taken, text)
			}
		}
	}()
	return s
}

// A node that is killed leaves its ids free within its lease and two seconds, and closes nobody else's
// connection; who comes back sooner has its id at once. One that ends in order loses nothing that
// it said has succeeded, and frees its ids at once.
func TestSocktopusNodesEnd(t *testing.T) {
	_, nodes, d := socktopus(t)
	d.joins("stays", nodes[0], socktopusToken("stays"))
	d.joins("moves", nodes[1], socktopusToken("moves"))
	var dies []string
	for i := range 20 {
		dies = append(dies, fmt.Sprint("dies", i))
		d.joins(dies[i], nodes[2], socktopusToken(dies[i]))
	}
	d.synced(append([]string{"stays", "moves"}, dies...)...)
	s := nodes[1].streams("stays")
	d.until("messages", func() bool { return len(d.got("stays")) > 20 })
	nodes[2].Kill()
	killed := time.Now()
	d.joins("back", nodes[0], socktopusToken(dies[0]))
	d.synced("back")
	d.reaches(nodes[1], "back", dies[0])
	d.until("a message to who is back", func() bool { return d.has("back", "frame", "DATA:back") })
	d.until("ids to be free", func() bool {
		got, err := nodes[1].sendTo("x", dies[1:]...)
		return err == nil && len(got) == 0
	})
	if took := time.Since(killed); took > lease+2*time.Second {
		t.Errorf("ids of a node that was killed were free after %v", took)
	}
	d.unless("closed", "stays", "moves", "back")

	nodes[1].Terminate()
	if got, err := nodes[0].sendTo("x", "moves"); len(got) > 0 || err != nil {
		t.Errorf("of a node that has ended: %v, %v", got, err)
	}
	s.stopping.Store(true)
	<-s.done
	d.until("the client of the node that ended to be closed", func() bool { return d.has("moves", "closed", "1001") })
	d.until("all that have succeeded", func() bool { return containsAll(d.got("stays"), s.taken) })
	got := d.got("stays")
	if !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
		t.Error("messages came twice or in another order")
	}
	t.Logf("%d sent to another node until the end of the one that took them, which was %v", len(s.taken), s.strange)
	d.unless("closed", "stays", "back")
	d.joins("moved", nodes[0], socktopusToken("moves"))
	d.synced("moved")
}

// Redis goes away, and comes back empty, twice: nobody is closed, senders are told, and ids are right
// again. Who joins another node meanwhile than one that is cut off, has the id when that is back.
func TestSocktopusRedisAway(t *testing.T) {
	redis, nodes, d := socktopus(t)
	ids := []string{"a", "b", "c", "d", "e", "f"}
	for i, id := range ids {
		d.joins(id, nodes[i%3], socktopusToken(id))
	}
	d.synced(ids...)
	redis.Kill()
	for i, n := range nodes {
		redistest.Until(t, "senders to be told", func() bool {
			status, header, body, err := n.ask("/send", `"messages":[{"recipient":"a","content":"x"}]`)
			return err == nil && status == 503 && header.Get("Retry-After") != "" && strings.HasPrefix(body, `{"code":503,`)
		})
		if status, header, _, err := n.ask("/kick", `"connections":["a"]`); status != 503 || header.Get("Retry-After") == "" || err != nil {
			t.Errorf("kick: %d, %v", status, err)
		}
		late := fmt.Sprint("late ", i)
		d.joins(late, n, socktopusToken("late"))
		d.until("who joins to be told to try again", func() bool { return d.has(late, "closed", "1013") })
	}
	d.synced(ids...)
	right := func(text string) {
		t.Helper()
		for i, n := range nodes {
			took := d.until("all ids to be found", func() bool {
				got, err := n.sendTo(fmt.Sprint(text, i), ids...)
				return err == nil && slices.Equal(got, ids)
			})
			t.Logf("%s, node %d: all ids after %v", text, i, took)
			for _, id := range ids {
				d.until("messages", func() bool { return d.has(id, "frame", fmt.Sprint("DATA:", text, i)) })
			}
		}
		d.unless("closed", ids...)
	}
	// A partition hears each second where its log is. Who was cut off once more before that cannot know
	// whether it missed something, and closes its clients: nothing that is to be seen tells when.
	fences := func() { time.Sleep(2500 * time.Millisecond) }
	redis.Run()
	right("back")
	fences()
	redis.Do("FLUSHALL")
	right("emptied")
	fences()

	nodes[1].wire.Cut()
	d.joins("b elsewhere", nodes[0], socktopusToken("b"))
	d.synced("b elsewhere")
	nodes[1].wire.Heal()
	d.ended("b")
	d.reaches(nodes[2], "newest", "b")
	d.until("a message", func() bool { return d.has("b elsewhere", "frame", "DATA:newest") })
	d.unless("closed", "a", "c", "d", "e", "f", "b elsewhere")
}
