package pushsocket

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"poosh/server/exactjson"
	"poosh/server/pushsocket/store"
	"poosh/server/respond"
	"poosh/server/setting"
)

// operatorPath is where operators see and bound the store.
const operatorPath = "/operator/store"

// maxOperatorBody bounds what an operator sends, in bytes.
const maxOperatorBody = 4096

// bounds are the limits that can be changed while the server runs, to what the settings
// may be. They hold until it ends: the settings are what a start begins with. Missing
// members stay.
type bounds struct {
	MessagesPerDevice *int    `json:"messagesPerDevice,omitempty"`
	WhenFull          *string `json:"whenFull,omitempty"`
	MaxAge            *string `json:"maxAge,omitempty"`
}

// The words for Limits.DropOldest.
const (
	whenFullRefuse = "refuse"
	whenFullDrop   = "drop"
)

// A view is what an operator sees.
type view struct {
	Usage      store.Usage       `json:"usage"`
	Limits     bounds            `json:"limits"`
	Sessions   int               `json:"sessions"`
	Authorized int               `json:"authorizedDevices"`
	Counts     map[string]uint64 `json:"counts"`
}

// operators has next serve operators alone.
func (d *Dialect) operators(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if d.isOperator(w, r) {
			next(w, r)
		}
	}
}

// isOperator reports whether a request is an operator's, or answers by itself. The
// bearer token, RFC 6750 section 2.1, is compared in a time that tells nothing about the
// right one.
func (d *Dialect) isOperator(w http.ResponseWriter, r *http.Request) bool {
	right := d.rules.Load().operatorToken
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(right))
	if right != "" && strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
		return true
	}
	w.Header().Del("Allow") // which tells what there is
	if right == "" {
		d.notFound(w)
		return false
	}
	d.log.Warn("push socket: operator refused", "remote", r.RemoteAddr)
	w.Header().Set("WWW-Authenticate", "Bearer")
	d.reject(w, http.StatusUnauthorized, refusedOperator, "wrong token")
	return false
}

func (d *Dialect) show(w http.ResponseWriter, r *http.Request) {
	usage, err := d.store.Usage(unhurried(r))
	if err != nil {
		d.fail(w, r, err)
		return
	}
	l, st := d.store.Limits(), d.Stats()
	whenFull, age := whenFullRefuse, l.MaxAge.String()
	if l.DropOldest {
		whenFull = whenFullDrop
	}
	respond.Express.JSON(w, http.StatusOK, view{usage, bounds{&l.MessagesPerDevice, &whenFull, &age}, st.Sockets.Sessions, st.Authorized, st.Counts})
}

// setBounds changes the limits, all that are given or none.
func (d *Dialect) setBounds(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(io.LimitReader(r.Body, maxOperatorBody))
	var b bounds
	if err != nil || b.decode(text) != nil {
		d.reject(w, http.StatusBadRequest, refusedOperatorRequest, "want an object with messagesPerDevice, whenFull, maxAge")
		return
	}
	l := d.store.Limits()
	if err := b.apply(&l); err != nil {
		d.reject(w, http.StatusBadRequest, refusedOperatorRequest, err.Error())
		return
	}
	d.store.SetLimits(l)
	d.log.Info("push socket: limits changed", "remote", r.RemoteAddr, "messages_per_device", l.MessagesPerDevice,
		"drop_oldest", l.DropOldest, "max_age", l.MaxAge)
	d.show(w, r)
}

// decode reads bounds; a name that is none of them is a mistake.
func (b *bounds) decode(text []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil || members == nil {
		return errors.Join(err, errors.New("not an object"))
	}
	for name := range members {
		if name != "messagesPerDevice" && name != "whenFull" && name != "maxAge" {
			return fmt.Errorf("%q is no bound", name)
		}
	}
	return exactjson.Unmarshal(text, b)
}

// apply changes limits, or says what is wrong first.
func (b bounds) apply(l *store.Limits) error {
	var messages *string
	if b.MessagesPerDevice != nil {
		messages = new(strconv.Itoa(*b.MessagesPerDevice))
	}
	for _, bound := range []struct {
		name  string
		text  *string
		value setting.Value
	}{
		{"messagesPerDevice", messages, messagesPerDevice(l)},
		{"whenFull", b.WhenFull, whenFull(l)},
		{"maxAge", b.MaxAge, maxAge(l)},
	} {
		if bound.text == nil {
			continue
		}
		if err := bound.value.Set(*bound.text); err != nil {
			return fmt.Errorf("%s: %w", bound.name, err)
		}
	}
	return nil
}

// removeOld is DELETE messages?olderThan=24h: what was stored before that, now.
func (d *Dialect) removeOld(w http.ResponseWriter, r *http.Request) {
	age, err := time.ParseDuration(r.URL.Query().Get("olderThan"))
	if err != nil || age < 0 {
		d.reject(w, http.StatusBadRequest, refusedOperatorRequest, "olderThan: want a time such as 24h")
		return
	}
	n, err := d.store.Expire(d.ctx, time.Now().Add(-age))
	d.count(messagesExpired, n)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	d.log.Info("push socket: old messages removed by an operator", "remote", r.RemoteAddr, "older_than", age, "messages", n)
	respond.Express.JSON(w, http.StatusOK, struct {
		Removed int `json:"messagesRemoved"`
	}{n})
}

// removeIdentities is DELETE identities?key=KEY: the identity with its devices, their
// keys and messages; and DELETE identities?unusedFor=720h: all that have not used the
// service for so long, revoked ones too. They may register again.
func (d *Dialect) removeIdentities(w http.ResponseWriter, r *http.Request) {
	const wanted = "want key, an identity key in base64, or unusedFor, a time such as 720h"
	q := r.URL.Query()
	var gone store.Removed
	var err error
	switch {
	case q.Has("key") == q.Has("unusedFor"):
		d.reject(w, http.StatusBadRequest, refusedOperatorRequest, wanted)
		return
	case q.Has("key"):
		key, ok := d.identityOf(w, r)
		if !ok {
			return
		}
		gone, err = d.store.RemoveIdentity(d.ctx, key)
	default:
		age, parseErr := time.ParseDuration(q.Get("unusedFor"))
		if parseErr != nil || age < minUnused {
			d.reject(w, http.StatusBadRequest, refusedOperatorRequest, "unusedFor: want a time of at least 24h, such as 720h")
			return
		}
		d.stillUsed()
		before := time.Now().Add(-age)
		gone, err = d.store.ExpireIdentities(d.ctx, before, before)
	}
	d.removed(gone, identitiesRemoved, reasonNotRegistered)
	if d.operated(w, r, err) {
		respond.Express.JSON(w, http.StatusOK, struct {
			Removed int `json:"identitiesRemoved"`
		}{gone.Identities})
	}
}

// minUnused is the least time for which identities must not have been used to be
// removed at once: their last use is known to a day.
const minUnused = 24 * time.Hour

// removePrekeys is DELETE prekeys?key=KEY: those of one identity.
func (d *Dialect) removePrekeys(w http.ResponseWriter, r *http.Request) {
	key, ok := d.identityOf(w, r)
	if !ok {
		return
	}
	n, err := d.store.RemovePrekeys(d.ctx, key)
	d.count(prekeysRemoved, n)
	if d.operated(w, r, err) {
		d.log.Info("push socket: prekeys removed by an operator", "remote", r.RemoteAddr, "prekeys", n)
		respond.Express.JSON(w, http.StatusOK, struct {
			Removed int `json:"prekeysRemoved"`
		}{n})
	}
}

// identityOf reads the identity that an operator names, or answers by itself. A key
// that is not one any more, from before such keys were refused, can be named too.
func (d *Dialect) identityOf(w http.ResponseWriter, r *http.Request) (string, bool) {
	text := strings.ReplaceAll(r.URL.Query().Get("key"), " ", "+") // an unescaped plus
	raw, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	if err != nil || len(raw) != 32 && len(raw) != 33 {
		d.reject(w, http.StatusBadRequest, refusedOperatorRequest, "key: want an identity key in base64")
		return "", false
	}
	return string(raw), true
}

// operated answers an operator whose change failed.
func (d *Dialect) operated(w http.ResponseWriter, r *http.Request, err error) bool {
	switch {
	case errors.Is(err, store.ErrNotRegistered):
		d.reject(w, http.StatusNotFound, refusedNoIdentity, "no such identity")
	case err != nil:
		d.fail(w, r, err)
	}
	return err == nil
}
