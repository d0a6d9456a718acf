package doctor

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"time"
)

// answers looks at what stands around what the server says: headers, forms, versions.
func (x *exam) answers(ctx context.Context) {
	x.progress("headers")
	x.jsonp(ctx)
	x.crossOrigin(ctx)
	x.preflight(ctx)
	x.cookie(ctx)
	x.compressed(ctx)
	x.keepAlive(ctx)
	if x.URL.Scheme == "https" {
		x.http2(ctx)
	}
}

// page is the origin that requests are from, as if a page made them.
func (x *exam) page() string {
	if x.Origin != "" {
		return x.Origin
	}
	return "https://doctor.poosh.example"
}

// jsonp asks as scripts of old browsers do.
func (x *exam) jsonp(ctx context.Context) {
	a := x.ask(ctx, request{query: url.Values{"j": {"7"}}, header: http.Header{"Referer": {x.page() + "/"}}})
	kind := a.header.Get("Content-Type")
	switch {
	case a.err == nil && strings.HasPrefix(a.body, "___eio[7](") && strings.Contains(kind, "javascript"):
		x.good("JSONP")
	case a.status == http.StatusForbidden && a.mineRefuses():
		x.skip("JSONP", "the server lets pages of "+x.page()+" not in: say --origin")
	default:
		x.fault("jsonp", "a handshake by JSONP: "+a.what()+", as "+clip(kind))
	}
}

// mineRefuses reports whether the server itself refuses an origin.
func (a answer) mineRefuses() bool {
	says, ours := a.ours()
	return ours && strings.Contains(says.Error, "origin")
}

// crossOrigin asks as pages of other origins do.
func (x *exam) crossOrigin(ctx context.Context) {
	a := x.ask(ctx, request{header: http.Header{"Origin": {x.page()}}})
	if a.err == nil && a.mineRefuses() {
		x.skip("cross-origin answers", "the server lets pages of "+x.page()+" not in: say --origin")
		return
	}
	if a.err != nil || a.status != http.StatusOK {
		x.fault("cross-origin", "a handshake with Origin: "+a.what())
		return
	}
	x.allows(a, "a handshake")
}

// allows looks whether a page may read an answer.
func (x *exam) allows(a answer, what string) {
	origins, creds := a.header["Access-Control-Allow-Origin"], a.header["Access-Control-Allow-Credentials"]
	switch all := strings.Join(origins, ", "); {
	case len(origins) > 1 || strings.Contains(all, ",") || len(creds) > 1 || strings.Contains(strings.Join(creds, ", "), ","):
		x.fault("cross-origin-doubled", fmt.Sprintf("%s from %s has Access-Control-Allow-Origin: %s and Access-Control-Allow-Credentials: %s", what, x.page(), clip(strings.Join(origins, " and ")), clip(strings.Join(creds, " and "))))
	case all != x.page() || len(creds) == 0 || creds[0] != "true":
		x.fault("cross-origin", fmt.Sprintf("%s from %s has Access-Control-Allow-Origin: %q and Access-Control-Allow-Credentials: %q", what, x.page(), clip(all), clip(strings.Join(creds, ""))))
	default:
		x.good("cross-origin: " + what)
	}
}

// preflight asks whether a page may ask.
func (x *exam) preflight(ctx context.Context) {
	a := x.ask(ctx, request{method: http.MethodOptions, header: http.Header{"Origin": {x.page()},
		"Access-Control-Request-Method": {"POST"}, "Access-Control-Request-Headers": {"content-type"}}})
	switch {
	case a.err == nil && a.mineRefuses() || x.has("cross-origin", "cross-origin-doubled"):
	case a.err != nil || a.status < 200 || a.status > 299:
		x.fault("preflight", "OPTIONS, which browsers send before some POSTs: "+a.what())
	default:
		x.allows(a, "a preflight")
	}
}

// cookie looks for the one that the server gives to clients of the older protocol.
func (x *exam) cookie(ctx context.Context) {
	a := x.ask(ctx, request{query: url.Values{"EIO": {"3"}}})
	switch {
	case a.err != nil || a.status != http.StatusOK:
		x.skip("cookies", "a handshake of Engine.IO 3: "+a.what())
	case !slices.ContainsFunc(a.header["Set-Cookie"], func(c string) bool { return strings.HasPrefix(c, "io=") }):
		x.fault("cookies-stripped", "a handshake of Engine.IO 3, with which the server gives a cookie io, came without it")
	default:
		x.good("cookies")
	}
}

// compressed looks whether somebody compresses what is smaller than what it takes to say
// so: the server does not.
func (x *exam) compressed(ctx context.Context) {
	a := x.ask(ctx, request{header: http.Header{"Accept-Encoding": {"gzip, deflate, br, zstd"}}})
	if how := a.header.Get("Content-Encoding"); a.err == nil && how != "" {
		x.fault("compressed", "a handshake came with Content-Encoding: "+clip(how))
		return
	}
	x.good("nobody compresses polls")
}

// keepAlive makes several requests on one connection. The last one has the time.
func (x *exam) keepAlive(ctx context.Context) {
	t := x.transport(request{})
	defer t.CloseIdleConnections()
	reused := 0
	var a answer
	for range 3 {
		traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
			if i.Reused {
				reused++
			}
		}})
		if a = x.askOn(traced, t, request{}); a.err != nil {
			return // it has been told elsewhere, or is chance
		}
	}
	if reused == 0 {
		x.fault("keep-alive", "three requests took three connections: it closes them after each answer")
	} else {
		x.good("keep-alive")
	}
	x.clock(a)
}

// maxSkew is half of what signatures of Pusher may be off.
const maxSkew = 5 * time.Minute

func (x *exam) clock(a answer) {
	there, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		x.skip("clock", "the answers have no date")
		return
	}
	if off := time.Since(there); off.Abs() > maxSkew {
		x.fault("clock", fmt.Sprintf("its date is %s, which is %s from this machine's", there.UTC().Format(time.RFC3339), off.Abs().Round(time.Second)))
	} else {
		x.good("clock")
	}
}

// http2 asks as browsers do where HTTP/2 is offered.
func (x *exam) http2(ctx context.Context) {
	s, _, a := x.handshake(ctx, request{h2: true})
	switch {
	case s == nil:
		x.fault("http2", "over HTTP/2, which is offered, a handshake fails: "+a.what())
		return
	case a.proto < 2:
		x.good("HTTP/2 is not offered")
		return
	}
	x.good("HTTP/2")
	s.close(ctx)
}
