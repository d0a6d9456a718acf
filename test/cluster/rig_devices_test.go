//go:build unix

package cluster

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A device is one of the Push Socket Protocol, which has one connection at a time. Its worker alone changes it,
// but for its mail.
type device struct {
	r          *rig
	room       string // of the chronicle, for its mail
	username   string
	key        ed25519.PrivateKey
	registered atomic.Bool
	now        atomic.Pointer[guest]

	mu   sync.Mutex           // guards what follows
	sent map[string]bool      // that was accepted
	got  map[string]time.Time // that came, and when first
}

func newDevice(r *rig, i int) *device {
	seed := make([]byte, ed25519.SeedSize)
	for at := range seed {
		seed[at] = byte(r.dice.IntN(256))
	}
	d := &device{r: r, room: fmt.Sprint("mail-", i), key: ed25519.NewKeyFromSeed(seed), sent: make(map[string]bool), got: make(map[string]time.Time)}
	d.username = base64.StdEncoding.EncodeToString(d.key.Public().(ed25519.PublicKey)) + "|1"
	return d
}

// password is what it shows for a minute.
func (d *device) password() string {
	now := strconv.FormatInt(time.Now().UnixMilli(), 10)
	return now + "|" + base64.StdEncoding.EncodeToString(ed25519.Sign(d.key, []byte(now)))
}

func (d *device) ask(n *rigNode, method, path string, body any) answer {
	text, err := json.Marshal(body)
	if err != nil {
		return answer{err: err}
	}
	token := "Basic " + base64.StdEncoding.EncodeToString([]byte(d.username+":"+d.password()))
	return asked(method, "http://"+n.at(n.pushsocket)+path, token, text)
}

func (d *device) end() { d.now.Load().end() }

// act does something that a device may do.
func (d *device) act(dice *rand.Rand) {
	if !d.registered.Load() {
		keys := []map[string]any{}
		for i := range 5 {
			keys = append(keys, map[string]any{"id": i, "preKey": fmt.Sprint("k", i), "signature": "s"})
		}
		a := d.ask(d.r.anyNode(dice), http.MethodPost, "/api/v1/key/initial", map[string]any{"lastResortKey": map[string]any{"id": 16777215}, "prekeys": keys})
		d.registered.Store(a.status == http.StatusOK || a.status == http.StatusConflict)
		return
	}
	if g := d.now.Load(); g.here() {
		if dice.IntN(60) == 0 {
			g.end()
		}
		return
	}
	d.connect(dice)
}

func (d *device) connect(dice *rand.Rand) {
	at := dice.IntN(len(d.r.nodes))
	n := d.r.nodes[at]
	l, sid, err := dialEngine(n.at(n.pushsocket))
	if err != nil {
		return
	}
	g := d.r.guest("device of "+d.room, at, sid, l)
	seat := g.sit(d.room)
	d.now.Store(g)
	go func() { // ends with the connection
		g.over(l.engine(func(name string, args []json.RawMessage) {
			switch name {
			case "authorized":
				d.r.truth.confirm(seat)
			case "not authorized":
				g.mu.Lock()
				g.told = fmt.Sprintf("%s", args)
				g.mu.Unlock()
			case "message":
				var m struct{ ID, Body string }
				if len(args) > 0 && json.Unmarshal(args[0], &m) == nil {
					d.took(g, m.Body)
					l.emit("recieved", map[string]string{"messageId": m.ID})
				}
			}
		}))
	}()
	l.emit("authentication", map[string]string{"username": d.username, "password": d.password()})
}

// took notes mail. What came to an earlier connection, and was not confirmed there, may come again.
func (d *device) took(g *guest, text string) {
	d.mu.Lock()
	_, again := d.got[text]
	if !again {
		d.got[text] = time.Now()
	}
	d.mu.Unlock()
	if !again {
		g.heard(text)
	}
}

// mailSome has a device send mail to another one.
func (r *rig) mailSome(dice *rand.Rand) {
	from, to := r.devices[dice.IntN(len(r.devices))], r.devices[dice.IntN(len(r.devices))]
	if from.registered.Load() && to.registered.Load() {
		r.mails(r.anyNode(dice), from, to)
	}
}

// mails sends mail, and reports whether it was accepted.
func (r *rig) mails(n *rigNode, from, to *device) bool {
	l := r.truth.write(to.room, "")
	a := from.ask(n, http.MethodPost, "/api/v1/message/", map[string]any{"messages": []any{map[string]any{
		"headers": []any{map[string]string{"recipient": to.username, "messageHeader": "h"}}, "body": l.text}}})
	if f, _ := a.fate(); f == taken {
		if !strings.HasPrefix(a.body, `{"messagesQueued":1,`) {
			r.blame("mail is answered %s", a.body)
		}
		to.mu.Lock()
		to.sent[l.text] = true
		to.mu.Unlock()
	}
	f := r.settle(n, a, l)
	if f == refused {
		r.truth.answered(unsure, l) // it may have been stored
	}
	return f == taken
}

// lacks is the accepted mail that a device has not got.
func (d *device) lacks() (list []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for text := range d.sent {
		if _, ok := d.got[text]; !ok {
			list = append(list, text)
		}
	}
	slices.Sort(list)
	return list
}

// quietDevices connects all devices, and waits until each has all mail that was accepted.
func (r *rig) quietDevices() {
	r.await("devices are authorized and have all mail", func() (left []string) {
		for _, d := range r.devices {
			g := d.now.Load()
			if !g.here() {
				d.act(r.dice)
				left = append(left, d.room+" connects")
			} else if lacks := d.lacks(); len(lacks) > 0 {
				left = append(left, fmt.Sprintf("%s lacks %d: %s", g.name, len(lacks), lacks[:min(5, len(lacks))]))
			}
		}
		return left
	})
}
