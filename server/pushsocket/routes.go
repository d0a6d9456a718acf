package pushsocket

import (
	"net/http"
	"strings"

	"poosh/server/admission"
	"poosh/server/respond"
	"poosh/server/route"
	"poosh/server/socketio"
)

const (
	// apiPath is what all paths of the HTTP API begin with.
	apiPath = "/api/v1"
	// keysPath is followed by an identity key.
	keysPath = apiPath + "/key/"
)

// greeting is what GET / says.
const greeting = "poosh key server for the Push Socket Protocol"

// mount is what there is on the port.
func (d *Dialect) mount() *route.Router {
	r := route.New(pathName)
	r.Wrong(d.api(d.wrongMethod))
	r.NotFound(d.api(d.nothing))
	r.Handle(socketio.Path, d.sockets)

	greet := d.api(d.greet)
	r.On("/", route.Methods{"GET": greet, "HEAD": greet})
	r.On(apiPath+"/message", route.Methods{"POST": d.api(d.sendMessages)})
	r.On(apiPath+"/key", route.Methods{"DELETE": d.api(d.removeDevice)})
	r.On(keysPath+"initial", route.Methods{"POST": d.api(d.registerKeys)})
	update := d.api(d.updateKeys) // the wiki says PUT, the programs POST
	r.On(keysPath+"update", route.Methods{"POST": update, "PUT": update})
	r.On(keysPath+"adddevice", route.Methods{"POST": d.api(d.addDevice)})
	r.On(keysPath+"*", route.Methods{"GET": d.api(d.giveKeys)})

	r.On(operatorPath, route.Methods{"GET": d.api(d.operators(d.show)), "PUT": d.api(d.operators(d.setBounds))})
	r.On(operatorPath+"/messages", route.Methods{"DELETE": d.api(d.operators(d.removeOld))})
	r.On(operatorPath+"/identities", route.Methods{"DELETE": d.api(d.operators(d.removeIdentities))})
	r.On(operatorPath+"/prekeys", route.Methods{"DELETE": d.api(d.operators(d.removePrekeys))})
	return r
}

// pathName names the route of a request: everything below Socket.IO's path is one. A
// slash at the end of a path is as good as none, and fixed parts match in any case, as
// in Express.
func pathName(r *http.Request) string {
	if strings.HasPrefix(r.URL.Path, socketio.Path) {
		return socketio.Path
	}
	switch name := strings.ToLower(r.URL.EscapedPath()); name {
	case "", "/":
		return "/"
	case "//":
		return name
	default:
		return strings.TrimSuffix(name, "/")
	}
}

// api is what all requests of the HTTP API go through before they are looked at.
func (d *Dialect) api(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !d.answering.Enter() {
			w.Header().Set("Retry-After", admission.RetryAfter)
			d.reject(w, http.StatusServiceUnavailable, refusedShutdown, admission.ErrClosed.Error())
			return
		}
		defer d.answering.Leave()
		d.cfg.SocketIO.Traffic.Requested(int(min(r.ContentLength, int64(d.cfg.MaxBody))))
		if !d.allowsOrigin(r.Header.Get("Origin")) {
			d.reject(w, http.StatusForbidden, refusedOrigin, "pages of this origin may not ask")
			return
		}
		if d.within(d.requests, w, r, "", "requests", refusedRequestRate) {
			next(w, r)
		}
	}
}

func (d *Dialect) greet(w http.ResponseWriter, _ *http.Request) {
	respond.Text(w, http.StatusOK, greeting)
}

// addDevice refuses, as the original always did.
func (d *Dialect) addDevice(w http.ResponseWriter, _ *http.Request) {
	d.rejectText(w, http.StatusForbidden, refusedSecondDevice)
}

// wrongMethod answers for a path that is there, and nothing for one that is not:
// whether there is something for operators is for them to know.
func (d *Dialect) wrongMethod(w http.ResponseWriter, r *http.Request) {
	if !isOperatorPath(r) || d.isOperator(w, r) {
		d.reject(w, http.StatusMethodNotAllowed, refusedMethod, "method not allowed")
	}
}

func (d *Dialect) nothing(w http.ResponseWriter, r *http.Request) {
	if !isOperatorPath(r) || d.isOperator(w, r) {
		d.notFound(w)
	}
}

// isOperatorPath reports whether a request is for operators, whatever it is.
func isOperatorPath(r *http.Request) bool {
	rest, ok := strings.CutPrefix(pathName(r), operatorPath)
	return ok && (rest == "" || rest[0] == '/')
}
