package pushsocket

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"poosh/auth"
	"poosh/server/admission"
	"poosh/server/pushsocket/store"
	"poosh/server/quota"
	"poosh/server/respond"
)

// allowsOrigin reports whether a page of this origin may use the HTTP API. Programs
// that are no browsers name none.
func (d *Dialect) allowsOrigin(origin string) bool {
	pages := d.rules.Load().origins
	return origin == "" || len(pages) == 0 ||
		slices.Contains(pages, "*") || slices.ContainsFunc(pages, func(o string) bool {
		return strings.EqualFold(o, origin)
	})
}

// reject answers with an error and counts it under why.
func (d *Dialect) reject(w http.ResponseWriter, status int, why happening, message string) {
	d.count(why, 1)
	respond.Express.Error(w, status, message)
}

// rejectText is reject with the status's name, as the original answers.
func (d *Dialect) rejectText(w http.ResponseWriter, status int, why happening) {
	d.count(why, 1)
	respond.Text(w, status, http.StatusText(status))
}

func (d *Dialect) notFound(w http.ResponseWriter) {
	d.reject(w, http.StatusNotFound, refusedPath, "not found")
}

// patient is how long a caller waits for a change of the store: until it is done,
// for StoreTimeout, or until the dialect ends.
func (d *Dialect) patient() (context.Context, context.CancelFunc) {
	return context.WithTimeout(d.ctx, d.cfg.StoreTimeout)
}

// unhurried is a request's context without its end: a statement that may be
// cancelled costs SQLite's driver a goroutine.
func unhurried(r *http.Request) context.Context { return context.WithoutCancel(r.Context()) }

// caller says which device makes a request, or answers by itself.
func (d *Dialect) caller(w http.ResponseWriter, r *http.Request) (store.Device, bool) {
	c, ok := d.credentials(w, r)
	if !ok {
		return store.Device{}, false
	}
	now := time.Now()
	device, why, err := d.checkParsed(unhurried(r), c, now)
	if err != nil {
		d.fail(w, r, err)
		return device, false
	}
	if why != "" {
		d.refuse(w, r, why, now)
		return device, false
	}
	d.store.Used(device)
	return device, true
}

// credentials reads Basic credentials, RFC 7617. A time that is 0 or no number is
// badly formed on the socket and a wrong time here, as in the original.
func (d *Dialect) credentials(w http.ResponseWriter, r *http.Request) (auth.PushCredentials, bool) {
	username, password, _ := r.BasicAuth()
	c, err := auth.ParsePush(username, password)
	if err != nil {
		d.refuse(w, r, reasonBadlyFormed, time.Now())
		return c, false
	}
	return c, true
}

// refuse answers 401 with the bare reason, as the original.
func (d *Dialect) refuse(w http.ResponseWriter, r *http.Request, why reason, now time.Time) {
	d.count(why.counted(), 1)
	d.log.Debug("push socket: request refused", "remote", r.RemoteAddr, "path", r.URL.Path, "reason", string(why))
	h := w.Header()
	h.Set("WWW-Authenticate", `Basic realm="Authorization Required"`)
	if why == reasonTime {
		h.Set("Server-Time", strconv.FormatInt(now.UnixMilli(), 10))
	}
	h.Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = io.WriteString(w, string(why)) // the client may be gone
}

// fail answers with what an error of the store means.
func (d *Dialect) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case errors.Is(err, store.ErrRevoked): // since the credentials were checked
		d.refuse(w, r, reasonRevoked, time.Now())
	case errors.Is(err, store.ErrRegistered):
		d.refuse(w, r, reasonRegistered, time.Now())
	case errors.Is(err, store.ErrTooManyKeys):
		d.reject(w, http.StatusRequestEntityTooLarge, refusedKeys, "a device may have "+strconv.Itoa(d.store.Limits().PrekeysPerDevice)+" prekeys")
	case errors.Is(err, store.ErrKeysTooLarge):
		d.reject(w, http.StatusRequestEntityTooLarge, refusedKeyBytes,
			"a device may have "+strconv.FormatInt(d.store.Limits().KeyBytesPerDevice, 10)+" bytes of keys")
	case errors.Is(err, store.ErrFull), errors.Is(err, store.ErrKeysFull):
		why := refusedKeysFull
		if errors.Is(err, store.ErrFull) {
			why = refusedIdentitiesFull
		}
		d.log.Warn("push socket: keys were refused for want of room", "remote", r.RemoteAddr, "err", err)
		w.Header().Set("Retry-After", "3600")
		d.reject(w, http.StatusServiceUnavailable, why, err.Error())
	default:
		d.count(storeFailed, 1)
		d.log.Error("push socket: request failed", "remote", r.RemoteAddr, "path", r.URL.Path, "err", err)
		w.Header().Set("Retry-After", "5")
		respond.Express.Error(w, http.StatusServiceUnavailable, "store is not available")
	}
}

// read takes a body of at most MaxBody bytes, whatever its media type, or answers
// by itself: 413, and for a badly formed body 415, as the wiki says.
func (d *Dialect) read(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		d.reject(w, http.StatusUnsupportedMediaType, refusedCoding, "content encodings are not supported")
		return nil, false
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(d.cfg.MaxBody)))
	var tooBig *http.MaxBytesError
	switch {
	case errors.As(err, &tooBig):
		d.reject(w, http.StatusRequestEntityTooLarge, refusedBodySize, "body is larger than "+strconv.Itoa(d.cfg.MaxBody)+" bytes")
	case errors.Is(err, quota.ErrFull):
		w.Header().Set("Retry-After", admission.RetryAfter)
		d.reject(w, http.StatusServiceUnavailable, refusedInputFull, err.Error())
	case err != nil:
		d.malformed(w, "body is not what was expected")
	default:
		return text, true
	}
	return nil, false
}

func (d *Dialect) malformed(w http.ResponseWriter, what string) {
	d.reject(w, http.StatusUnsupportedMediaType, refusedBody, what)
}

// tellPrekeys sets what tells a device how many prekeys it has left, and returns the
// status that does.
func (d *Dialect) tellPrekeys(w http.ResponseWriter, caller store.Device) int {
	w.Header().Set("Prekeys-Left", strconv.Itoa(caller.Prekeys))
	if caller.Prekeys == 0 {
		return d.cfg.NoPrekeysStatus
	}
	return http.StatusOK
}
