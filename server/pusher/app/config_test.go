package app

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"poosh/server/pusher/webhook"
	"poosh/server/rate"
)

func TestParseApps(t *testing.T) {
	base := Config{ID: "base", Key: "base", Secret: "base", MaxEventBytes: 500, ClientEvents: true, MaxMembers: 7}
	apps, err := Parse([]byte(`{"apps":[
		{"id":"1","key":"a","secret":"secret-1","max_presence_members":3,"client_events":false,"activity_timeout":"30s","api_rate":"100/60s","client_event_rate":"off",
		 "webhooks":[{"url":"https://h.test/x","event_types":["member_added"],"channel_pattern":"^x","headers":{"A":"b"},"batch":true}]},
		{"id":"2","key":"b","secret":"secret-2","enabled":false}]}`), base)
	if err != nil {
		t.Fatal(err)
	}
	a, b := apps[0], apps[1]
	if a.MaxMembers != 3 || a.ClientEvents || a.MaxEventBytes != 500 || time.Duration(a.ActivityTimeout) != 30*time.Second ||
		a.APIRate != (rate.Rate{Limit: 100, Per: time.Minute}) || a.WithDefaults().ClientEventRate.Limit > 0 || len(a.Webhooks) != 1 || !a.Webhooks[0].Batch {
		t.Errorf("first %+v", a)
	}
	if b.MaxMembers != 7 || !b.ClientEvents || *b.Enabled || b.Webhooks != nil || b.Secret != "secret-2" {
		t.Errorf("second %+v", b)
	}
}

// TestKeysAreDocumented finds each key of the file of apps in its description.
func TestKeysAreDocumented(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "examples", "pusher", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, typ := range []reflect.Type{reflect.TypeFor[Config](), reflect.TypeFor[webhook.Config]()} {
		for i := range typ.NumField() {
			if key := typ.Field(i).Tag.Get("json"); key == "" || !strings.Contains(string(text), "`"+key+"`") {
				t.Errorf("%s.%s, key %q, is not described", typ, typ.Field(i).Name, key)
			}
		}
	}
	for _, name := range webhook.EventTypes {
		if !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("event type %s is not described", name)
		}
	}
}

func TestParseAppsRefusals(t *testing.T) {
	app := func(more string) string { return `{"apps":[{"id":"1","key":"a","secret":"hush-hush"` + more + `}]}` }
	tests := []struct{ name, file, want string }{
		{"not JSON", `x`, "invalid character"},
		{"no apps", `{}`, "at least one app"},
		{"no app", `{"apps":[]}`, "at least one app"},
		{"more behind it", app("") + "x", "more text"},
		{"a misspelt limit", app(`,"max_presence_member":3`), `unknown field "max_presence_member"`},
		{"a limit in other letters", app(`,"Max_Batch_Events":3`), `unknown field "Max_Batch_Events"`},
		{"a limit twice", app(`,"max_batch_events":3,"MAX_BATCH_EVENTS":4`), `unknown field "MAX_BATCH_EVENTS"`},
		{"a webhook in other letters", app(`,"webhooks":[{"url":"http://h","Batch":true}]`), `webhooks: unknown field "Batch"`},
		{"another at the top", `{"app":[]}`, "unknown field"},
		{"no secret", `{"apps":[{"id":"1","key":"a"}]}`, "secret is missing"},
		{"a secret of seven letters", `{"apps":[{"id":"1","key":"a","secret":"hush-hu"}]}`, "secret is shorter than 8 characters"},
		{"no id", `{"apps":[{"key":"a","secret":"hush-hush"}]}`, "want an id"},
		{"a bad key", `{"apps":[{"id":"1","key":"a/b","secret":"hush-hush"}]}`, "want a key"},
		{"a negative limit", app(`,"max_batch_events":-1`), "max_batch_events is -1"},
		{"a bad time", app(`,"cache_ttl":"5"`), "want a time"},
		{"a bad rate", app(`,"api_rate":"5 a day"`), "100/60s"},
		{"a short activity timeout", app(`,"activity_timeout":"10ms"`), "at least 1s"},
		{"a bad webhook", app(`,"webhooks":[{"url":"ftp://h"}]`), "http or https"},
		{"a bad event type", app(`,"webhooks":[{"url":"http://h","event_types":["x"]}]`), "event type"},
		{"a bad pattern", app(`,"webhooks":[{"url":"http://h","channel_pattern":"("}]`), "channel_pattern"},
		{"a header of ours", app(`,"webhooks":[{"url":"http://h","headers":{"X-Pusher-Key":"k"}}]`), "belongs to the protocol"},
		{"a bad origin", app(`,"allowed_origins":["a b"]`), "allowed_origins"},
	}
	for _, tt := range tests {
		_, err := Parse([]byte(tt.file), Config{})
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}
