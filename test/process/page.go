package process

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A Step is a command, and what the page's list of events shows after it, among others.
type Step struct {
	Run   []string `json:"run"`
	Shows string   `json:"shows"`
}

// Page serves a folder of the examples, opens its index.html in Chromium with a query, and does the steps,
// once the page says that it is connected. scripts are the files, from the test's directory, in place
// of what the page loads from elsewhere, which is all that it may load and has to. The npm package
// playwright-core is the test's own.
func Page(t *testing.T, folder string, query url.Values, scripts map[string]string, steps ...Step) {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Fatal("chromium is not installed: apt-get install chromium")
	}
	site := httptest.NewServer(http.FileServer(http.Dir(folder)))
	defer site.Close()
	what, err := json.Marshal(map[string]any{"url": site.URL + "/?" + query.Encode(), "scripts": scripts, "steps": steps})
	if err != nil {
		t.Fatal(err)
	}
	Node(t, time.Duration(2+len(steps))*Patience, filepath.Join("..", "process", "browser.js"), "node_modules", string(what))
}
