package dashboard

import (
	"context"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// get asks a handler for what is at its path.
func get(h http.HandlerFunc, method, at string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h(w, httptest.NewRequest(method, at, nil))
	return w
}

// Every file is served as what it is, under the policy of the page, and none that is only
// for who works on it.
func TestHandlers(t *testing.T) {
	handlers := Handlers()
	for at, h := range handlers {
		w := get(h, "GET", at)
		kind := types[path.Ext(at)]
		if at == "/" {
			kind = types[".html"]
		}
		if w.Code != 200 || w.Body.Len() == 0 || w.Header().Get("Content-Type") != kind || w.Header().Get("Content-Security-Policy") != Policy {
			t.Errorf("%s: %d, %d bytes, %v", at, w.Code, w.Body.Len(), w.Header())
		}
		if head := get(h, "HEAD", at); head.Code != 200 || head.Body.Len() > 0 {
			t.Errorf("HEAD %s: %d, %d bytes", at, head.Code, head.Body.Len())
		}
	}
	for at, want := range map[string]bool{"/": true, "/assets/main.js": true, "/assets/index.html": false, "/assets/package.json": false} {
		if (handlers[at] != nil) != want {
			t.Errorf("%s is served: %v", at, !want)
		}
	}
}

// What a browser must be kept from is in the policy by name.
func TestPolicy(t *testing.T) {
	for _, want := range []string{"default-src 'self'", "connect-src 'self'", "form-action 'self'", "base-uri 'none'", "object-src 'none'", "frame-ancestors 'none'", "require-trusted-types-for 'script'", "trusted-types 'none'"} {
		if !strings.Contains("; "+Policy+";", "; "+want+";") {
			t.Errorf("%s is not in %s", want, Policy)
		}
	}
	for _, no := range []string{"unsafe", "http:", "https:", "data:", "blob:", "*"} {
		if strings.Contains(Policy, no) {
			t.Errorf("%s is in %s", no, Policy)
		}
	}
}

// files calls act for each asset that is served.
func files(t *testing.T, act func(name, text string)) {
	t.Helper()
	list, err := fs.ReadDir(assets, "assets")
	if err != nil || len(list) < 10 {
		t.Fatalf("%d files, %v", len(list), err)
	}
	for _, f := range list {
		text, err := assets.ReadFile("assets/" + f.Name())
		if err != nil {
			t.Fatal(err)
		}
		act(f.Name(), string(text))
	}
}

// forbidden are the ways in which a text becomes markup or code, or is kept by a browser,
// or a file is had from elsewhere.
var forbidden = regexp.MustCompile(`(?i)innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|srcdoc|setHTML|createContextualFragment|\beval\b|new Function|javascript:|localStorage|sessionStorage|indexedDB|document\.cookie|@import|url\(|\bimport\(|<script>|<style|[ '"]style=|[^-]\bstyle:|\bon[a-z]+=`)

// elsewhere is an address of another host. The names of XML's spaces and what comments
// refer to are none that a browser asks.
var (
	elsewhere = regexp.MustCompile(`(?:https?:)?//[\w-]+(?:\.[\w-]+)+[^\s'")]*`)
	harmless  = map[string]bool{"http://www.w3.org/2000/svg": true, "https://html.spec.whatwg.org/multipage/server-sent-events.html,": true}
)

func TestForbidden(t *testing.T) {
	files(t, func(name, text string) {
		for i, line := range strings.Split(text, "\n") {
			if bad := forbidden.FindString(line); bad != "" {
				t.Errorf("%s:%d: %s", name, i+1, bad)
			}
			for _, at := range elsewhere.FindAllString(line, -1) {
				if !harmless[at] {
					t.Errorf("%s:%d: %s", name, i+1, at)
				}
			}
		}
	})
	for _, line := range []string{"x.innerHTML = y", "el('p', { style: 'a' })", "<p style='x'>", "<img onerror=x>", "import('x')"} {
		if !forbidden.MatchString(line) {
			t.Errorf("%s is not found", line)
		}
	}
}

var reference = regexp.MustCompile(`(?:from '\./|href="assets/|src="assets/)([\w.-]+)['"]`)

// Each file that another one names is there, and each that is there is named.
func TestReferences(t *testing.T) {
	named, there := map[string]bool{"index.html": true}, make(map[string]bool)
	files(t, func(name, text string) {
		there[name] = true
		for _, m := range reference.FindAllStringSubmatch(text, -1) {
			named[m[1]] = true
		}
	})
	for name := range named {
		if !there[name] {
			t.Errorf("%s is named, and not there", name)
		}
	}
	for name := range there {
		if !named[name] {
			t.Errorf("%s is there, and nobody names it", name)
		}
	}
}

// What the modules do without a browser.
func TestModules(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Fatal("node is not installed: apt-get install nodejs")
	}
	tests, err := filepath.Glob("testdata/*.test.mjs")
	if err != nil || len(tests) == 0 {
		t.Fatalf("%v, %v", tests, err)
	}
	for _, file := range tests {
		t.Run(path.Base(file), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "node", "--test", file)
			cmd.WaitDelay = 5 * time.Second // for what it has started
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
