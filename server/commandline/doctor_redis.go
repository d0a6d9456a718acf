package commandline

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/gorilla/websocket"

	"poosh/server/doctor"
	"poosh/server/intake"
)

// redisLook looks whether a Redis that a dialect reads is there, and lets it read.
func (e *examination) redisLook(dialect, setting string) doctor.Look {
	return doctor.Look{
		What: setting, Well: setting + " answers, and lets its user read",
		Do: func(ctx context.Context, _ func(*url.URL) (*websocket.Conn, error)) error {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			err := e.cfg.Reach(ctx, dialect)
			if intake.Answers(err) {
				return &doctor.Wrong{ID: "redis-refuses", Seen: err.Error()}
			}
			return err // it may be there for the server, and not for this machine
		},
	}
}

// A published is an event that is published in a Redis, and the client that waits for it.
type published struct {
	e                *examination
	setting, channel string
	payload          []byte
	came             chan struct{} // has room for one
}

// heard is who listens of a canary: what it hears, the one who sends is told as well.
func (p *published) heard(listen func(*websocket.Conn, func(), func(string)) error) func(*websocket.Conn, func(), func(string)) error {
	return func(conn *websocket.Conn, up func(), heard func(string)) error {
		return listen(conn, up, func(event string) {
			select {
			case p.came <- struct{}{}:
			default:
			}
			heard(event)
		})
	}
}

// send publishes the event until it is heard: who subscribes is not told when that is done.
func (p *published) send(ctx context.Context) (delivered int, err error) {
	at, _ := p.e.cfg.Value(p.setting).(intake.Address)
	s := intake.NewSpeaker("doctor", at)
	defer s.Close()
	var nodes int64
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if nodes, err = s.Publish(ctx, p.channel, p.payload); err != nil {
			return 0, fmt.Errorf("nothing can be published with %s from here: %w", p.setting, err)
		}
		select {
		case <-p.came:
			return 1, nil
		case <-time.After(500 * time.Millisecond):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	if nodes == 0 && at.Servers() == 1 { // of a Redis Cluster it is what one server has
		return 0, fmt.Errorf("%s: %w", p.setting, doctor.ErrUnheard)
	}
	return -1, nil
}

// emitters has an event of a room be published as emitters of socket.io do, for a client at the URL.
func (e *examination) emitters(site *doctor.Config) {
	at, _ := e.cfg.Value("EMITTER_REDIS").(intake.Address)
	if at.IsZero() || !e.isOpen("CLIENT_PORT") {
		return
	}
	site.Looks = append(site.Looks, e.redisLook("emitter", "EMITTER_REDIS"))
	key, _ := e.cfg.Value("EMITTER_KEY").(string)
	room, event := doctor.NewName(), doctor.NewName()
	p := &published{e: e, setting: "EMITTER_REDIS", channel: key + "#/#" + room + "#", payload: emitted(room, event), came: make(chan struct{}, 1)}
	speak := &socketIO{rooms: []string{room}}
	site.Canaries = append(site.Canaries, doctor.Canary{
		Name: "an emitter of socket.io", Event: event,
		At:     func() *url.URL { return speak.address(*e.at) },
		Listen: p.heard(listenAs(speak)), Send: p.send,
	})
}

// emitted is an event for a room as @socket.io/redis-emitter writes it, in msgpack:
// ["emitter", {"type": 2, "data": [event], "nsp": "/"}, {"rooms": [room], "flags": {}}]. Names are
// shorter than 32 bytes.
func emitted(room, event string) []byte {
	b := []byte{0x93}
	text := func(list ...string) {
		for _, s := range list {
			b = append(append(b, 0xa0|byte(len(s))), s...)
		}
	}
	text("emitter")
	b = append(b, 0x83)
	text("type")
	b = append(b, 2)
	text("data")
	b = append(b, 0x91)
	text(event, "nsp", "/")
	b = append(b, 0x82)
	text("rooms")
	b = append(b, 0x91)
	text(room, "flags")
	return append(b, 0x80)
}
