package admin

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-chi/chi/v5"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// document is what tests read of openapi.json.
type document struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Parameters  []struct{ Name, In string }
		Responses   map[string]json.RawMessage
	}
	Components struct {
		Schemas, Responses map[string]json.RawMessage
	}
}

func described(t *testing.T) (d document) {
	t.Helper()
	if err := json.Unmarshal(OpenAPI, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

// everything is a server with all that there may be.
func everything() *Server {
	ok := func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }
	return New(Config{Pprof: true, Token: testToken}, Parts{
		Log: discard, Live: ok, Ready: ok, Metrics: http.HandlerFunc(ok), Tail: ok, Kick: ok, Bundle: ok, Drain: ok, Reload: ok, Profiles: ok,
		Overview: ok, Stream: ok, Series: ok, Top: ok, Rooms: ok, Room: ok, Connection: ok, Left: ok, Slow: ok,
		Send: func(http.ResponseWriter, *http.Request) bool { return false },
	})
}

var aPart = regexp.MustCompile(`\{\w+\}`)

// The document names each route of the API and of what programs ask, with each method, and
// none more.
func TestOpenAPIHasTheRoutes(t *testing.T) {
	router := everything().router()
	got := make(map[string]string)
	err := chi.Walk(router.Mux, func(_, path string, _ http.Handler, _ ...func(http.Handler) http.Handler) error {
		path = strings.TrimSuffix(path, "/")
		if path == "" || !strings.HasPrefix(path, "/api/") && !slices.Contains([]string{"/live", "/ready", "/metrics", "/debug/pprof/*"}, path) {
			return nil // a page for people
		}
		var methods []string
		for _, method := range []string{"get", "head", "post", "put", "patch", "delete", "options"} {
			w := httptest.NewRecorder()
			to := aPart.ReplaceAllString(strings.ReplaceAll(path, "*", "heap"), "x")
			router.ServeHTTP(w, httptest.NewRequest(strings.ToUpper(method), to, nil))
			if w.Code != http.StatusMethodNotAllowed {
				methods = append(methods, method)
			}
		}
		got[strings.ReplaceAll(path, "*", "{profile}")] = strings.Join(methods, " ")
		return nil
	})
	if err != nil || len(got) < 15 {
		t.Fatal(err, got)
	}
	want := make(map[string]string)
	for path, operations := range described(t).Paths {
		methods := slices.Sorted(maps.Keys(operations))
		if path != "/debug/pprof/{profile}" && methods[0] == "get" {
			methods = slices.Insert(methods, 1, "head") // wherever GET is
		}
		want[path] = strings.Join(methods, " ")
	}
	if !maps.Equal(got, want) {
		t.Errorf("there are\n%v\nand described are\n%v", got, want)
	}
}

// The document names the parameters that a path takes, and no others.
func TestOpenAPIHasTheParameters(t *testing.T) {
	paths := described(t).Paths
	for _, e := range everything().endpoints() {
		var query, inPath []string
		for _, p := range paths[e.path][strings.ToLower(e.method)].Parameters {
			if p.In == "query" {
				query = append(query, p.Name)
			} else {
				inPath = append(inPath, "{"+p.Name+"}")
			}
		}
		if !slices.Equal(query, e.params) || !slices.Equal(inPath, aPart.FindAllString(e.path, -1)) {
			t.Errorf("%s takes %v, described are %v and %v", e.path, e.params, query, inPath)
		}
	}
}

// The document is sound: each schema is one, each reference leads somewhere, and nothing in
// it is used by nobody.
func TestOpenAPIIsSound(t *testing.T) {
	d, text := described(t), string(OpenAPI)
	if !strings.HasPrefix(d.OpenAPI, "3.1.") {
		t.Errorf("version %s", d.OpenAPI)
	}
	compiler := jsonschema.NewCompiler()
	whole, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiler.AddResource("openapi.json", whole); err != nil {
		t.Fatal(err)
	}
	// What no reference leads to is the data of an event.
	events := map[string]bool{"Send": true}
	for name := range d.Components.Schemas {
		if _, err := compiler.Compile("openapi.json#/components/schemas/" + name); err != nil {
			t.Error(err)
		}
		if !events[name] && !strings.Contains(text, `"#/components/schemas/`+name+`"`) {
			t.Errorf("nobody answers a %s", name)
		}
	}
	for _, m := range regexp.MustCompile(`"#/components/responses/(\w+)"`).FindAllStringSubmatch(text, -1) {
		if d.Components.Responses[m[1]] == nil {
			t.Errorf("there is no response %s", m[1])
		}
	}
	ids := make(map[string]string)
	for path, operations := range d.Paths {
		for method, o := range operations {
			if ids[o.OperationID] != "" || o.OperationID == "" || len(o.Responses) < 2 {
				t.Errorf("%s %s is called %q, as %q", method, path, o.OperationID, ids[o.OperationID])
			}
			ids[o.OperationID] = path
		}
	}
}
