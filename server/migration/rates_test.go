package migration

import (
	"strings"
	"testing"
)

// A rate that Poosh does not take becomes the nearest, and a person is told. Apps have
// theirs whatever their names are.
func TestRates(t *testing.T) {
	reverb := func(name, rate string) string {
		return `<?php return ['apps' => ['apps' => ['` + name + `' => ['app_id' => '1', 'key' => 'k', 'secret' => 'secret-of-rates', 'rate_limiting' => ['enabled' => true, ` + rate + `]]]]];`
	}
	sockudo := func(name, rate string) string {
		return "[app_manager.array.apps.\"" + name + "\"]\nid = \"1\"\nkey = \"k\"\nsecret = \"secret-of-rates\"\nenabled = true\n" + rate
	}
	soketi := func(rate string) string {
		return `{"appManager.array.apps": [{"id": "1", "key": "k", "secret": "secret-of-rates", "maxClientEventsPerSecond": ` + rate + `}]}`
	}
	for _, row := range []struct{ file, text, want, said string }{
		{"reverb.php", reverb("shop", "'max_attempts' => 5, 'decay_seconds' => 7"), `"client_event_rate": "5/7s"`, ""},
		{"reverb.php", reverb("shop.example.com", "'max_attempts' => 5, 'decay_seconds' => 7"), `"client_event_rate": "5/7s"`, ""},
		{"reverb.php", reverb("shop", "'max_attempts' => 0, 'decay_seconds' => 7"), `"client_event_rate": "1/7s"`, "the nearest is 1."},
		{"reverb.php", reverb("shop", "'max_attempts' => 5, 'decay_seconds' => 100000"), `"client_event_rate": "5/86400s"`, "the nearest is 86400."},
		{"reverb.php", reverb("shop", "'max_attempts' => 5, 'decay_seconds' => 1e300"), `"client_event_rate": "5/86400s"`, "the nearest is 86400."},
		{"sockudo.toml", sockudo("shop.example.com", "max_client_events_per_second = 5\ndecay_seconds = 7"), `"client_event_rate": "5/7s"`, ""},
		{"sockudo.toml", sockudo("shop", "max_client_events_per_second = 5e12\ndecay_seconds = 7"), `"client_event_rate": "2147483647/7s"`, "the nearest is 2147483647."},
		{"sockudo.toml", sockudo("shop", "[rate_limiter.api_rate_limit]\nmax_requests = 5\nwindow_seconds = 0"), `PUSHER_API_RATE_PER_ADDRESS=5/1s`, "the nearest is 1."},
		{"sockudo.toml", sockudo("shop", "[metrics]\nport = 700000"), `ADMIN_PORT=65535`, "the nearest is 65535."},
		{"sockudo.toml", sockudo("shop", "[websocket]\nmax_bytes = 1e12"), `PUSHER_MAX_MESSAGE_BYTES=67108864`, "the nearest is 67108864."},
		{"soketi.json", soketi("7"), `"client_event_rate": "7/1s"`, ""},
		{"soketi.json", soketi("1e15"), `"client_event_rate": "2147483647/1s"`, "is more than Poosh takes"},
	} {
		code, out, errs := fromText(t, row.file, row.text, Options{})
		if !strings.Contains(out, row.want) || !strings.Contains(errs, row.said) || row.said != "" && code != NeedLook {
			t.Errorf("%s: %d, want %s, said %q\n%s\n%s", row.text, code, row.want, row.said, out, errs)
		}
	}
}
