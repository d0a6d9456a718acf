//go:build linux

package load

import (
	"bytes"
	"fmt"
	"net/http"
	"time"

	"poosh/auth"
	"poosh/server/loadtest"
	"poosh/test/heads"
)

var pusherPong = maskedText(`{"event":"pusher:pong","data":{}}`)

// pusher handles a message of the protocol itself, whose strings are unescaped.
func (c *Crowd) pusher(i int, data []byte) error {
	cl := &c.clients[i]
	if c.cfg.Presence && cl.state >= opening {
		known, err := c.rosters[i].take(data)
		if err != nil || known && !bytes.Contains(data[:min(len(data), presencePart)], []byte("subscription_succeeded")) {
			return err
		}
	}
	switch {
	case bytes.HasPrefix(data, []byte(`{"event":"pusher:connection_established"`)):
		_, rest, _ := bytes.Cut(data, []byte(`"socket_id":"`))
		id, _, found := bytes.Cut(rest, []byte(`"`))
		if !found {
			return fmt.Errorf("a connection without an id: %q", data)
		}
		cl.socket = string(id)
		return c.arrive(i)
	case bytes.HasPrefix(data, []byte(`{"event":"pusher_internal:subscription_succeeded"`)):
		return c.welcomed(i)
	case bytes.HasPrefix(data, []byte(`{"event":"pusher:ping"`)):
		return c.write(cl, pusherPong)
	}
	return fmt.Errorf("message %q", data[:min(len(data), 80)])
}

// pusherRequest appends the signed request that triggers an event in a channel, with
// the head that Guzzle sends for the PHP library of Pusher.
func pusherRequest(b []byte, host, secret, room string, p loadtest.Payload) []byte {
	body := append(make([]byte, 0, len(p)+200), `{"name":"`+Event+`","channel":"`+room+`","data":"`...)
	body = append(body, bytes.ReplaceAll(p, []byte{'"'}, []byte(`\"`))...)
	body = append(body, `"}`...)
	const path = "/apps/" + PusherApp + "/events"
	target := path + "?" + auth.SignPusherQuery(PusherKey, secret, http.MethodPost, path, body, time.Now())
	b = heads.GuzzlePusher.Append(b, heads.Values{Target: target, Host: host, Length: len(body)})
	return append(b, body...)
}
