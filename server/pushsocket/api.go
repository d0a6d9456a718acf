package pushsocket

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"poosh/auth"
	"poosh/server/pushsocket/store"
)

// apiPath is what all paths of the HTTP API begin with.
const apiPath = "/api/v1/"

// greeting is what GET / says.
const greeting = "poosh key server for the Push Socket Protocol"

// serveAPI finds what a request is for. A slash at the end of a path is as good as
// none, and fixed parts match in any case, as in Express.
func (d *Dialect) serveAPI(w http.ResponseWriter, r *http.Request) {
	path := r.URL.EscapedPath()
	fixed := strings.TrimSuffix(strings.ToLower(path), "/")
	if fixed == "" {
		if allow(w, r, http.MethodGet, http.MethodHead) {
			writeText(w, http.StatusOK, greeting)
		}
		return
	}
	if fixed == operatorPath || strings.HasPrefix(fixed, operatorPath+"/") {
		d.operator(w, r, strings.TrimPrefix(fixed, operatorPath))
		return
	}
	rest, ok := strings.CutPrefix(fixed, apiPath)
	if !ok {
		writeError(w, http.StatusNotFound, "not found")
		return
	}
	switch rest {
	case "key/initial":
		if allow(w, r, http.MethodPost) {
			d.registerKeys(w, r)
		}
	case "key/update": // the wiki says PUT, the programs POST
		if allow(w, r, http.MethodPost, http.MethodPut) {
			d.updateKeys(w, r)
		}
	case "key/adddevice":
		if allow(w, r, http.MethodPost) {
			writeText(w, http.StatusForbidden, "Forbidden") // as the original always did
		}
	case "key":
		if allow(w, r, http.MethodDelete) {
			d.removeDevice(w, r)
		}
	case "message":
		if allow(w, r, http.MethodPost) {
			d.sendMessages(w, r)
		}
	default:
		if !strings.HasPrefix(rest, "key/") {
			writeError(w, http.StatusNotFound, "not found")
		} else if allow(w, r, http.MethodGet) {
			d.giveKeys(w, r, strings.TrimSuffix(path[len(apiPath+"key/"):], "/"))
		}
	}
}

// allow answers 405 for other methods.
func allow(w http.ResponseWriter, r *http.Request, methods ...string) bool {
	if slices.Contains(methods, r.Method) {
		return true
	}
	w.Header().Set("Allow", strings.Join(methods, ", "))
	writeError(w, http.StatusMethodNotAllowed, "method not allowed")
	return false
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
	d.count("refused: "+string(why), 1)
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
		writeError(w, http.StatusRequestEntityTooLarge, "a device may have "+strconv.Itoa(d.store.Limits().PrekeysPerDevice)+" prekeys")
	case errors.Is(err, store.ErrFull):
		d.log.Error("push socket: an identity may not register: the bound on identities is met", "remote", r.RemoteAddr)
		writeError(w, http.StatusServiceUnavailable, "no more identities may register")
	default:
		d.count("store failed", 1)
		d.log.Error("push socket: request failed", "remote", r.RemoteAddr, "path", r.URL.Path, "err", err)
		w.Header().Set("Retry-After", "5")
		writeError(w, http.StatusServiceUnavailable, "store is not available")
	}
}

// read takes a JSON body of at most MaxBody bytes, whatever its media type, or
// answers by itself: 413, and for a badly formed body 415, as the wiki says.
func (d *Dialect) read(w http.ResponseWriter, r *http.Request, body any) bool {
	if coding := r.Header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		writeError(w, http.StatusUnsupportedMediaType, "content encodings are not supported")
		return false
	}
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, int64(d.cfg.MaxBody)))
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		writeError(w, http.StatusRequestEntityTooLarge, "body is larger than "+strconv.Itoa(d.cfg.MaxBody)+" bytes")
		return false
	}
	if err != nil || json.Unmarshal(text, body) != nil {
		d.malformed(w, "body is not what was expected")
		return false
	}
	return true
}

func (d *Dialect) malformed(w http.ResponseWriter, what string) {
	d.count("refused: badly formed body", 1)
	writeError(w, http.StatusUnsupportedMediaType, what)
}

// answering sets what tells a device how many prekeys it has left, and returns the
// status that does.
func (d *Dialect) answering(w http.ResponseWriter, caller store.Device) int {
	w.Header().Set("Prekeys-Left", strconv.Itoa(caller.Prekeys))
	if caller.Prekeys == 0 {
		return d.cfg.NoPrekeysStatus
	}
	return http.StatusOK
}
