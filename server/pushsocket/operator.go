package pushsocket

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"poosh/server/pushsocket/store"
)

// operatorPath is where operators see and bound the store.
const operatorPath = "/operator/store"

// Bounds of what an operator may set.
const (
	maxMessagesPerDevice = 1_000_000
	minMaxAge            = time.Minute
	maxOperatorBody      = 4096
)

// bounds are the limits that can be changed while the server runs. They hold until
// it ends: the settings are what a start begins with. Missing members stay.
type bounds struct {
	MessagesPerDevice *int    `json:"messagesPerDevice,omitempty"`
	WhenFull          *string `json:"whenFull,omitempty"` // refuse or drop
	MaxAge            *string `json:"maxAge,omitempty"`   // as time.ParseDuration takes it
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

// operator serves GET and PUT of the store, and DELETE of old messages.
func (d *Dialect) operator(w http.ResponseWriter, r *http.Request, rest string) {
	if d.cfg.OperatorToken == "" {
		writeError(w, http.StatusNotFound, "not found")
		return
	}
	if !d.isOperator(r) {
		d.count("refused: operator", 1)
		d.log.Warn("push socket: operator refused", "remote", r.RemoteAddr)
		w.Header().Set("WWW-Authenticate", "Bearer")
		writeError(w, http.StatusUnauthorized, "wrong token")
		return
	}
	switch rest {
	case "":
		if !allow(w, r, http.MethodGet, http.MethodPut) || r.Method == http.MethodPut && !d.setBounds(w, r) {
			return
		}
		d.show(w, r)
	case "/messages":
		if allow(w, r, http.MethodDelete) {
			d.removeOld(w, r)
		}
	default:
		writeError(w, http.StatusNotFound, "not found")
	}
}

// isOperator compares the bearer token, RFC 6750 section 2.1, in a time that tells
// nothing about the right one.
func (d *Dialect) isOperator(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(d.cfg.OperatorToken))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(got[:], want[:]) == 1
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
	writeJSON(w, http.StatusOK, view{usage, bounds{&l.MessagesPerDevice, &whenFull, &age}, st.Sockets.Sessions, st.Authorized, st.Counts})
}

// setBounds changes the limits, all that are given or none, or answers by itself.
func (d *Dialect) setBounds(w http.ResponseWriter, r *http.Request) bool {
	dec := json.NewDecoder(io.LimitReader(r.Body, maxOperatorBody))
	dec.DisallowUnknownFields()
	var b bounds
	if err := dec.Decode(&b); err != nil {
		writeError(w, http.StatusBadRequest, "want an object with messagesPerDevice, whenFull, maxAge")
		return false
	}
	l := d.store.Limits()
	if err := b.apply(&l); err != nil {
		writeError(w, http.StatusBadRequest, err.Error())
		return false
	}
	d.store.SetLimits(l)
	d.log.Info("push socket: limits changed", "remote", r.RemoteAddr, "messages_per_device", l.MessagesPerDevice,
		"drop_oldest", l.DropOldest, "max_age", l.MaxAge)
	return true
}

func (b bounds) apply(l *store.Limits) error {
	if n := b.MessagesPerDevice; n != nil {
		if *n < 1 || *n > maxMessagesPerDevice {
			return errors.New("messagesPerDevice: want a number from 1 to 1000000")
		}
		l.MessagesPerDevice = *n
	}
	if b.WhenFull != nil {
		if *b.WhenFull != whenFullRefuse && *b.WhenFull != whenFullDrop {
			return errors.New("whenFull: want refuse or drop")
		}
		l.DropOldest = *b.WhenFull == whenFullDrop
	}
	if b.MaxAge != nil {
		age, err := time.ParseDuration(*b.MaxAge)
		if err != nil || age < minMaxAge {
			return errors.New("maxAge: want a time of at least 1m, such as 720h")
		}
		l.MaxAge = age
	}
	return nil
}

// removeOld is DELETE messages?olderThan=24h: what was stored before that, now.
func (d *Dialect) removeOld(w http.ResponseWriter, r *http.Request) {
	age, err := time.ParseDuration(r.URL.Query().Get("olderThan"))
	if err != nil || age < 0 {
		writeError(w, http.StatusBadRequest, "olderThan: want a time such as 24h")
		return
	}
	n, err := d.store.Expire(r.Context(), time.Now().Add(-age))
	d.count("messages expired", n)
	if err != nil {
		d.fail(w, r, err)
		return
	}
	d.log.Info("push socket: old messages removed by an operator", "remote", r.RemoteAddr, "older_than", age, "messages", n)
	writeJSON(w, http.StatusOK, struct {
		Removed int `json:"messagesRemoved"`
	}{n})
}
