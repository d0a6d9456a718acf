package pushsocket

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"poosh/auth"
	"poosh/server/pushsocket/store"
	"poosh/server/respond"
)

// keysMembers are what key/initial and key/update take. What is inside a key is the
// clients' affair: the browser client sends numbers for ids, and a last resort key
// of nothing but its id.
var keysMembers = []string{"lastResortKey", "prekeys"}

// readKeys reads the keys of a request, or answers by itself. It looks at no more
// of them than a device may have.
func (d *Dialect) readKeys(w http.ResponseWriter, r *http.Request) (k store.Keys, ok bool) {
	text, ok := d.read(w, r)
	if !ok {
		return k, false
	}
	var members [2]auth.Value
	if auth.Pick(text, keysMembers, members[:]) != nil {
		d.malformed(w, "body is not what was expected")
		return k, false
	}
	last, prekeys := members[0], members[1]
	if last.Kind() != auth.Absent {
		if k.LastResort, ok = d.readKey(w, last); !ok {
			return k, false
		}
	}
	switch prekeys.Kind() {
	case auth.Absent, auth.Null:
		return k, true
	case auth.Array:
	default:
		d.malformed(w, "prekeys are not an array")
		return k, false
	}
	k.Prekeys = [][]byte{}
	for v := range prekeys.Elements() {
		key, ok := d.readKey(w, v)
		if !ok {
			return k, false
		}
		if len(k.Prekeys) >= d.store.Limits().PrekeysPerDevice {
			d.fail(w, r, store.ErrTooManyKeys)
			return k, false
		}
		k.Prekeys = append(k.Prekeys, key)
	}
	return k, true
}

// readKey checks one key, or answers by itself.
func (d *Dialect) readKey(w http.ResponseWriter, v auth.Value) ([]byte, bool) {
	if v.Kind() != auth.Object {
		d.malformed(w, "a key is not an object")
		return nil, false
	}
	if len(v.Bytes()) > d.cfg.MaxKey {
		d.reject(w, http.StatusRequestEntityTooLarge, refusedKeySize, "a key may have "+strconv.Itoa(d.cfg.MaxKey)+" bytes")
		return nil, false
	}
	return v.Bytes(), true
}

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
	if !d.within(d.registrations, w, r, "", "registrations", refusedRegistrationRate) {
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
	ctx, cancel := d.patient()
	defer cancel()
	device, err := d.store.Register(ctx, c.Address, keys)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	d.count(registered, 1)
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
	ctx, cancel := d.patient()
	defer cancel()
	device, err := d.store.AddKeys(ctx, device.ID, keys)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	d.writeStatus(w, device)
}

// writeStatus answers with a status and its name.
func (d *Dialect) writeStatus(w http.ResponseWriter, device store.Device) {
	status := d.tellPrekeys(w, device)
	respond.Text(w, status, http.StatusText(status))
}

// giveKeys is GET key/<identity key>: one key of each device of that identity,
// which is then gone, or the last resort key.
func (d *Dialect) giveKeys(w http.ResponseWriter, r *http.Request) {
	device, ok := d.caller(w, r)
	if !ok {
		return
	}
	// The name of the route has its letters in lower case.
	text, err := url.PathUnescape(strings.TrimSuffix(r.URL.EscapedPath()[len(keysPath):], "/"))
	if err != nil {
		d.rejectText(w, http.StatusNotFound, refusedNoKey)
		return
	}
	key, err := auth.ParseIdentityKey(text)
	if err != nil {
		d.rejectText(w, http.StatusNotFound, refusedNoKey)
		return
	}
	// Each takes a prekey away from the identity: one stranger must not have all.
	if !d.within(d.fetches, w, r, key, "keys of one identity", refusedKeyRate) {
		return
	}
	ctx, cancel := d.patient()
	defer cancel()
	keys, device, err := d.store.TakeKeys(ctx, key, device.ID)
	switch {
	case errors.Is(err, store.ErrNotRegistered):
		d.rejectText(w, http.StatusNotFound, refusedNoKey)
		return
	case errors.Is(err, store.ErrRevoked):
		d.rejectText(w, http.StatusGone, refusedRevokedKey)
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
	status := d.tellPrekeys(w, device)
	respond.Express.Bytes(w, status, body.Bytes())
}

// removeDevice is DELETE key/: the calling device goes, and its identity with its
// last one, for good.
func (d *Dialect) removeDevice(w http.ResponseWriter, r *http.Request) {
	device, ok := d.caller(w, r)
	if !ok {
		return
	}
	ctx, cancel := d.patient()
	defer cancel()
	if err := d.store.Remove(ctx, device.ID); err != nil {
		d.fail(w, r, err)
		return
	}
	d.count(devicesRemoved, 1)
	d.evictEverywhere(device.ID, reasonRevoked)
	respond.Text(w, http.StatusOK, "OK")
}
