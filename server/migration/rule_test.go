package migration

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// known reads what a server has, by name, as its own source and documents list it.
func known(t *testing.T, name string) []string {
	t.Helper()
	b, err := os.ReadFile("testdata/keys/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			keys = append(keys, line)
		}
	}
	return keys
}

// Every key that a server has at the named release has a rule, and rules are for no
// others, but for other spellings and what stands for the whole of a table.
func TestEveryKeyHasARule(t *testing.T) {
	for _, s := range sources() {
		keys := known(t, s.name)
		listed := make(map[string]bool)
		for _, key := range keys {
			listed[key] = true
			path := dotted(key)
			if key == strings.ToUpper(key) {
				if to, ok := s.variable(key); ok {
					path = dotted(to)
				}
			}
			for i, name := range path {
				if name == "*" {
					path[i] = "0"
				}
			}
			if s.spell != nil {
				path = s.spell(path)
			}
			if r, _ := s.table().find(path); r == nil {
				t.Errorf("%s: %s has no rule", s.name, key)
			}
		}
		for _, path := range s.table().paths() {
			if !listed[path] && !slices.ContainsFunc(keys, func(key string) bool {
				return strings.HasPrefix(key, path+".") || strings.HasPrefix(path, key+".") || s.env[key] == path
			}) {
				t.Errorf("%s: there is a rule for %s, which is not among its keys", s.name, path)
			}
		}
		for name, path := range s.env {
			if !listed[name] {
				t.Errorf("%s: %s is not among its variables", s.name, name)
			}
			if r, _ := s.table().find(dotted(strings.ReplaceAll(path, "*", "0"))); r == nil {
				t.Errorf("%s: %s stands for %s, which has no rule", s.name, name, path)
			}
		}
		t.Logf("%s: %d keys and variables", s.name, len(keys))
	}
}

// values are what a key may be set to, sensible or not.
var values = []any{nil, true, false, "", "text", "1", json.Number("0"), json.Number("-1"), json.Number("0.0001"), json.Number("7"),
	json.Number("1e3"), json.Number("1e15"), int64(5), 2.5, "999999999", "-5", []any{}, []any{"a", "*", "https://*.example.com"},
	map[string]any{}, expression{}, unset{Name: "X"}}

// Whatever a known key is set to, something is said of it, and what is made starts: a
// number that Poosh does not take becomes the nearest, and a person is told.
func TestEveryValue(t *testing.T) {
	tried := make(map[string]string)
	for _, s := range sources() {
		for _, key := range s.table().paths() {
			path := dotted(strings.ReplaceAll(strings.ReplaceAll(key, "**", "x"), "*", "0"))
			for _, v := range values {
				check(t, s, path, v, tried)
			}
		}
	}
}

// check has a key set to a value. tried is what was said of files that were tried before,
// by their texts: most values make the same ones.
func check(t *testing.T, s *source, path []string, v any, tried map[string]string) {
	t.Helper()
	d := newDraft(s)
	entries := credentials(s)
	base := len(entries)
	at := slices.IndexFunc(entries, func(e entry) bool { return e.key() == joined(path) })
	if at < 0 {
		entries = append(entries, entry{name: strings.Join(path, "."), path: path, value: v})
		at = base
	} else {
		entries[at].value = v
	}
	d.take(entries)
	said := slices.ContainsFunc(d.report.Keys, func(k Key) bool { return k.Key == shown(strings.Join(path, ".")) && !k.Unknown })
	d.finish()
	if !said {
		t.Errorf("%s: %q set to %#v is not in the report, or unknown", s.name, path, v)
	}
	for _, k := range d.report.Keys {
		if k.Says == "" && k.Becomes == "" {
			t.Errorf("%s: nothing is said of %q set to %#v", s.name, path, v)
		}
	}
	if r, _ := s.table().find(path); r.take == nil {
		return // it makes nothing
	}
	files, err := d.files()
	content := fmt.Sprintf("%s", files)
	bad, found := tried[content]
	if err == nil && !found {
		before := len(d.report.Notes)
		d.report.Look = false
		err = d.try(files)
		bad = strings.Join(d.report.Notes[before:], "; ")
		if tried[content] = bad; d.report.Look != (bad != "") {
			t.Errorf("%s: %q set to %#v: %q, look %v", s.name, path, v, bad, d.report.Look)
		}
	}
	if err != nil {
		t.Errorf("%s: %q set to %#v: %v", s.name, path, v, err)
	}
	if needed := at < base; bad != "" && !needed && !freeText(path) {
		t.Errorf("%s: %q set to %#v: %s", s.name, path, v, bad)
	}
}

// freeText reports whether a text becomes a setting as it is, so that a wrong one is
// found only when everything is read.
func freeText(path []string) bool {
	last := path[len(path)-1]
	return slices.Contains([]string{"host", "allowed_origins", "channel_pattern", "driver"}, last)
}

// credentials are the app that there must be.
func credentials(s *source) []entry {
	at := map[string]string{"soketi": "appManager.array.apps.0.", "sockudo": "app_manager.array.apps.0.", "reverb": "apps.apps.0.", "laravel-websockets": "apps.0.", "laravel-echo-server": "clients.0.", "laravel-echo-server-to-pusher": "clients.0."}[s.name]
	id := map[string]string{"reverb": "app_id", "laravel-echo-server": "appId", "laravel-echo-server-to-pusher": "appId"}[s.name]
	if id == "" {
		id = "id"
	}
	var list []entry
	fields := map[string]any{id: "1", "key": "key", "secret": "a-secret-that-is-long-enough", "enabled": true}
	if s.name == "poosh" {
		fields = map[string]any{"SERVER_SECRET": "a-secret-that-is-long-enough"}
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if at == "" && s.name != "poosh" || name == "enabled" && s.name != "sockudo" || name == "secret" && strings.HasPrefix(s.name, "laravel-echo-server") {
			continue
		}
		list = append(list, entry{name: at + name, path: dotted(at + name), value: fields[name]})
	}
	return list
}

// A key that is not known is named, with the nearest that is.
func TestUnknownKeys(t *testing.T) {
	for _, row := range []struct{ source, key, want string }{
		{"soketi", "eventLimits.maxBatchSiz", "eventLimits.maxBatchSize"},
		{"soketi", "appManager.array.apps.3.maxConections", "appManager.array.apps.*.maxConnections"},
		{"soketi", "SOKETI_DEFAULT_APP_SERCET", "SOKETI_DEFAULT_APP_SECRET"},
		{"sockudo", "websocket.compresion", "websocket.compression"},
		{"sockudo", "app_manager.array.apps.0.policy.limits.max_conections", "app_manager.array.apps.*.policy.limits.max_connections"},
		{"sockudo", "SOCKUDO_MAX_CONECTIONS", "SOCKUDO_MAX_CONNECTIONS"},
		{"reverb", "apps.apps.0.activity_timout", "apps.apps.*.activity_timeout"},
		{"reverb", "REVERB_SERVR_PORT", "REVERB_SERVER_PORT"},
		{"laravel-websockets", "max_request_size_in_mb", "max_request_size_in_kb"},
		{"laravel-echo-server", "authEndpont", "authEndpoint"},
		{"poosh", "SERVER_SECERT", "SERVER_SECRET"},
	} {
		for _, s := range sources() {
			if s.name != row.source {
				continue
			}
			d := newDraft(s)
			d.take([]entry{{name: row.key, path: dotted(row.key), value: "hush"}})
			k := d.report.Keys[0]
			if !k.Unknown || !k.Look || !strings.HasSuffix(k.Says, "the nearest is "+row.want) || strings.Contains(k.Says, "hush") {
				t.Errorf("%s: %+v, want %s", row.key, k, row.want)
			}
		}
	}
}

// Of two rules for a path the one that names it counts, and two for one are a fault.
func TestTable(t *testing.T) {
	rules := []rule{{keys: "a.b a.*.c", says: "1"}, {keys: "a.*: d e\n\ta.x.**", says: "2"}}
	table := newTable(rules)
	for path, want := range map[string]string{"a.b": "1", "a.9.c": "1", "a.9.e": "2", "a.x.y.z": "2", "a.x.c": "2", "a": "", "a.9": "", "z": "", "a.9.c.d": ""} {
		r, inner := table.find(dotted(path))
		got := ""
		if r != nil {
			got = r.says
		}
		if got != want {
			t.Errorf("%s: rule %q, want %q", path, got, want)
		}
		if inner != (path == "a" || path == "a.9") {
			t.Errorf("%s: inner is %v", path, inner)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("two rules for one key")
		}
	}()
	newTable([]rule{{keys: "a"}, {keys: "b a"}})
}
