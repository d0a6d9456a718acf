package migration

import (
	"strings"
	"testing"
)

// FuzzRun has every reader and every source take what it is given. Its inputs are short:
// what is made of long ones takes long to be made short again.
func FuzzRun(f *testing.F) {
	for _, text := range []string{
		`{"appManager.array.apps":[{"id":1,"webhooks":"[{}]","maxConnections":-1}],"a.b":[[]]}`,
		`{"port":6001,"app_manager":{"array":{"apps":[{"allowed_origins":["*.x"]}]}}}`,
		`{"authHost":"x","clients":[{"appId":"1"}]}`,
		"SOKETI_PORT=1\nSOKETI_DEFAULT_APP_WEBHOOKS='[{\"url\":\"x\"}]'\n",
		"SOCKUDO_DEFAULT_APP_ID=1\nHOST=x\n", "REVERB_APP_ID=1\nREVERB_SERVER_PORT=null\n", "SERVER_SECRET='a\"$b\n",
		"port = 1\n[[app_manager.array.apps]]\nid = 1\npolicy.webhooks = [{url = \"${A:-b}\"}]\n",
		"<?php return ['apps' => [['id' => env('A'), 'capacity' => 1]]];",
	} {
		for which := range len(Sources()) + 1 {
			f.Add(text, uint8(which))
		}
	}
	f.Fuzz(func(t *testing.T, text string, which uint8) {
		var out, errs strings.Builder
		o := Options{JSON: which%2 == 0}
		if names := Sources(); int(which) < len(names) {
			o.From = names[which]
		}
		code := Run("-", o, strings.NewReader(text), &out, &errs)
		if code != Mapped && code != Failed && code != NeedLook {
			t.Errorf("exit code %d", code)
		}
		if code == Failed && errs.Len() == 0 {
			t.Error("nothing is said")
		}
	})
}
