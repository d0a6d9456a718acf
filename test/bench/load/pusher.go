//go:build linux

package load

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"poosh/test/heads"
)

// The app that Pusher clients connect to. Its secret is the one of all events.
const (
	PusherApp = "1"
	PusherKey = "bench-key"
)

var (
	pusherJoin = maskedText(`{"event":"pusher:subscribe","data":{"channel":"` + Room + `"}}`)
	pusherPong = maskedText(`{"event":"pusher:pong","data":{}}`)
)

// pusher handles a message of the protocol itself, whose strings are unescaped.
func (c *Crowd) pusher(i int, data []byte) error {
	cl := &c.clients[i]
	switch {
	case bytes.HasPrefix(data, []byte(`{"event":"pusher:connection_established"`)):
		return c.write(cl, pusherJoin)
	case bytes.HasPrefix(data, []byte(`{"event":"pusher_internal:subscription_succeeded"`)) && cl.state == opening:
		c.join(cl)
		return nil
	case bytes.HasPrefix(data, []byte(`{"event":"pusher:ping"`)):
		return c.write(cl, pusherPong)
	}
	return fmt.Errorf("message %q", data[:min(len(data), 80)])
}

// unescape takes the backslashes before quotes out of data, in place: an event's
// data is JSON inside a JSON string, and payloads hold nothing else to escape.
func unescape(data []byte) []byte {
	w := bytes.IndexByte(data, '\\')
	if w < 0 {
		return data
	}
	for r := w; r < len(data); {
		r++ // the backslash
		next := bytes.IndexByte(data[r:], '\\')
		if next < 0 {
			next = len(data) - r
		}
		w += copy(data[w:], data[r:r+next])
		r += next
	}
	return data[:w]
}

// pusherRequest appends the signed request that triggers an event with a payload,
// with the head that Guzzle sends for the PHP library of Pusher.
func pusherRequest(b []byte, host, secret string, p payload) []byte {
	body := append([]byte(nil), `{"name":"`+Event+`","channel":"`+Room+`","data":"`...)
	body = append(body, bytes.ReplaceAll(p, []byte{'"'}, []byte(`\"`))...)
	body = append(body, `"}`...)
	sum := md5.Sum(body)
	const path = "/apps/" + PusherApp + "/events"
	query := "auth_key=" + PusherKey + "&auth_timestamp=" + strconv.FormatInt(time.Now().Unix(), 10) +
		"&auth_version=1.0&body_md5=" + hex.EncodeToString(sum[:])
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("POST\n" + path + "\n" + query))
	target := path + "?" + query + "&auth_signature=" + hex.EncodeToString(mac.Sum(nil))
	b = heads.GuzzlePusher.Append(b, heads.Values{Target: target, Host: host, Length: len(body)})
	return append(b, body...)
}
