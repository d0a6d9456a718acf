package migration

import (
	"strings"
	"testing"
)

// What may be a password is in no report, wherever a person put it.
func TestNothingSecretIsShown(t *testing.T) {
	for _, row := range []struct{ name, text, made, said string }{
		{"soketi.json", `{"appManager.array.apps": [{"id": "1", "key": "k", "secret": "hush-hush-hush-hush", "webhooks":
			[{"url":"https://user:hush@a.example.com","event_types":["hush: HUSH", "member_added", "other_kind"]}]}]}`,
			"a.example.com", "Poosh has no webhooks for what is no name of a type, other_kind"},
		{"sockudo.toml", "[app_manager.array.apps.a]\nid = \"1\"\nkey = \"k\"\nsecret = \"hush-hush-hush-hush\"\nenabled = true\n" +
			`allowed_origins = ["https://us@er:hush@*.example.com", "user:hush@*.*", "user:hush@a b", "https://user:hush@b.example.com"]`,
			`"*.example.com",
        "https://b.example.com"`, "before the @ of an origin is left out, and https://*.example.com became *.example.com"},
		{"sockudo.toml", "[app_manager.array.apps.a]\nid = \"1\"\nkey = \"hush\nsecret = \"hush-hush-hush-hush\"\n", "", "is no TOML"},
		{"sockudo.toml", "[app_manager.array.apps.a]\nid = \"1\"\nkey = \"k\"\nsecret = \"hush\"\nenabled = true\n" +
			"[[app_manager.array.apps.a.webhooks]]\nurl = \"https://user:hush@a.example.com:99999/\"\nevent_types = [\"member_added\"]\n[app_manager.array.apps.a.webhooks.filter]\nchannel_pattern = \"hush(\"\n[app_manager.array.apps.a.webhooks.headers]\n\"a b\" = \"hush\"\n",
			"99999", "Poosh will not start with it"},
	} {
		_, out, errs := fromText(t, row.name, row.text, Options{From: strings.Split(row.name, ".")[0]})
		if strings.Contains(strings.ToLower(errs), "hush") || !strings.Contains(errs, row.said) || !strings.Contains(out, row.made) {
			t.Errorf("%s: want %s and %s\n%s\n%s", row.text, row.made, row.said, out, errs)
		}
	}
}
