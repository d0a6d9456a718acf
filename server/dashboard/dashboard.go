// Package dashboard is the page that an operator's browser shows: files that are part of
// the program, and nothing else. They ask the operators' port for all they show, and are
// written by hand, so that there is nothing to build and nothing of others to keep up to
// date. It must not know where the numbers come from.
//
// # Why
//
// The files are modules and a style sheet that a browser takes as they are, in assets.
// What they show are names that strangers chose; so no module writes markup: dom.js
// makes elements and text nodes, and [Policy] has the browser refuse anything else, be it
// a script in the page, a style in an attribute, or a file from elsewhere.
package dashboard

import (
	"bytes"
	"embed"
	"fmt"
	"net/http"
	"path"
	"time"
)

//go:embed assets/*.html assets/*.css assets/*.js assets/*.svg
var assets embed.FS

// Policy is the Content-Security-Policy of the page. All of it comes from where the page
// does and asks there; no script and no style stands in markup; no text becomes markup;
// and no page of others has it in a frame.
const Policy = "default-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; object-src 'none'; " +
	"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// Handlers returns what serves the page, by path: "/" for the page itself, and each of its
// files below /assets/. They answer GET and HEAD; who mounts them looks at who asks.
func Handlers() map[string]http.HandlerFunc {
	files, err := assets.ReadDir("assets")
	if err != nil {
		panic(fmt.Sprintf("dashboard: %v", err)) // it is in the program
	}
	handlers := make(map[string]http.HandlerFunc, len(files))
	for _, f := range files {
		at := "/assets/" + f.Name()
		if f.Name() == "index.html" {
			at = "/"
		}
		handlers[at] = handler(f.Name())
	}
	return handlers
}

// types are what browsers must be told files are, whatever the machine's own list says.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// handler serves one file.
func handler(name string) http.HandlerFunc {
	text, err := assets.ReadFile(path.Join("assets", name))
	kind := types[path.Ext(name)]
	if err != nil || kind == "" {
		panic(fmt.Sprintf("dashboard: %s: %v", name, err))
	}
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", kind)
		h.Set("Content-Security-Policy", Policy)
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(text))
	}
}
