package pushsocket

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"poosh/auth"
	"poosh/server/pushsocket/store"
)

// A keysBody is what key/initial and key/update take. What is inside a key is the
// clients' affair: the browser client sends numbers for ids, and a last resort key
// of nothing but its id.
type keysBody struct {
	LastResortKey json.RawMessage   `json:"lastResortKey"`
	Prekeys       []json.RawMessage `json:"prekeys"`
}

// readKeys reads a keysBody, or answers by itself.
func (d *Dialect) readKeys(w http.ResponseWriter, r *http.Request) (store.Keys, bool) {
	var body keysBody
	if !d.read(w, r, &body) {
		return store.Keys{}, false
	}
	k := store.Keys{LastResort: body.LastResortKey}
	if body.Prekeys != nil {
		k.Prekeys = make([][]byte, 0, len(body.Prekeys))
	}
	for _, key := range body.Prekeys {
		k.Prekeys = append(k.Prekeys, key)
	}
	if slices.ContainsFunc(k.Prekeys, notObject) || k.LastResort != nil && notObject(k.LastResort) {
		d.malformed(w, "a key is not an object")
		return k, false
	}
	return k, true
}

func notObject(text []byte) bool { return len(text) == 0 || text[0] != '{' }

// registerKeys is POST key/initial: an identity's first device and its keys. Its
// reasons are checked in the original's order, registered before time.
func (d *Dialect) registerKeys(w http.ResponseWriter, r *http.Request) {
	c, ok := d.credentials(w, r)
	if !ok {
		return
	}
	now := time.Now()
	known, err := d.store.Knows(unhurried(r), c.Key)
	switch {
	case err != nil:
		d.fail(w, r, err)
		return
	case known:
		d.refuse(w, r, reasonRegistered, now)
		return
	case !c.InTime(now):
		d.refuse(w, r, reasonTime, now)
		return
	case c.Verify() != nil:
		d.refuse(w, r, reasonSignature, now)
		return
	}
	keys, ok := d.readKeys(w, r)
	if !ok {
		return
	}
	if keys.LastResort == nil {
		d.malformed(w, "lastResortKey is missing")
		return
	}
	device, err := d.store.Register(r.Context(), c.Address, keys)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	d.count("registered", 1)
	d.log.Debug("push socket: registered", "remote", r.RemoteAddr, "device", device.ID, "prekeys", device.Prekeys)
	d.writeStatus(w, device)
}

// updateKeys is POST key/update: more prekeys, and another last resort key if
// there is one.
func (d *Dialect) updateKeys(w http.ResponseWriter, r *http.Request) {
	device, ok := d.caller(w, r)
	if !ok {
		return
	}
	keys, ok := d.readKeys(w, r)
	if !ok {
		return
	}
	if keys.LastResort == nil && keys.Prekeys == nil {
		d.malformed(w, "lastResortKey and prekeys are missing")
		return
	}
	device, err := d.store.AddKeys(r.Context(), device.ID, keys)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	d.writeStatus(w, device)
}

// writeStatus answers with a status and its name.
func (d *Dialect) writeStatus(w http.ResponseWriter, device store.Device) {
	status := d.answering(w, device)
	writeText(w, status, http.StatusText(status))
}

// giveKeys is GET key/<identity key>: one key of each device of that identity,
// which is then gone, or the last resort key.
func (d *Dialect) giveKeys(w http.ResponseWriter, r *http.Request, escaped string) {
	device, ok := d.caller(w, r)
	if !ok {
		return
	}
	text, err := url.PathUnescape(escaped)
	if err != nil {
		writeText(w, http.StatusNotFound, "Not Found")
		return
	}
	key, err := auth.ParseIdentityKey(text)
	if err != nil {
		writeText(w, http.StatusNotFound, "Not Found")
		return
	}
	keys, device, err := d.store.TakeKeys(r.Context(), key, device.ID)
	switch {
	case errors.Is(err, store.ErrNotRegistered):
		writeText(w, http.StatusNotFound, "Not Found")
		return
	case errors.Is(err, store.ErrRevoked):
		writeText(w, http.StatusGone, "Gone")
		return
	case err != nil:
		d.fail(w, r, err)
		return
	}
	var body bytes.Buffer
	body.WriteByte('{')
	for i, name := range slices.Sorted(maps.Keys(keys)) {
		if i > 0 {
			body.WriteByte(',')
		}
		quoted, _ := json.Marshal(name) // a string cannot fail
		body.Write(quoted)
		body.WriteByte(':')
		body.Write(keys[name]) // as it was given
	}
	body.WriteByte('}')
	status := d.answering(w, device)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the client may be gone
}

// removeDevice is DELETE key/: the calling device goes, and its identity with its
// last one, for good.
func (d *Dialect) removeDevice(w http.ResponseWriter, r *http.Request) {
	device, ok := d.caller(w, r)
	if !ok {
		return
	}
	if err := d.store.Remove(r.Context(), device.ID); err != nil {
		d.fail(w, r, err)
		return
	}
	d.count("devices removed", 1)
	d.evict(device.ID)
	writeText(w, http.StatusOK, "OK")
}
