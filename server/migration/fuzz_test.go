package migration

import (
	"io"
	"strings"
	"testing"
)

// FuzzConvert has every reader and every source take what it is given. Its inputs are
// short: what is made of long ones takes long to be made short again. What it makes is not
// tried, which takes most of the time and is the server's own reading.
func FuzzConvert(f *testing.F) {
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
		var o Options
		if names := Sources(); int(which) < len(names) {
			o.From = names[which]
		}
		d, files, err := convert("-", o, strings.NewReader(text))
		if err != nil {
			if err.Error() == "" || files != nil {
				t.Errorf("%q, %d files", err, len(files))
			}
			return
		}
		if len(files) == 0 {
			t.Errorf("no files of %s", d.source.name)
		}
		d.report.complete(files, "")
		for _, write := range []func(io.Writer) error{d.report.write, d.report.writeJSON} {
			if err := write(io.Discard); err != nil {
				t.Error(err)
			}
		}
		for _, k := range d.report.Keys {
			if k.Says == "" && k.Becomes == "" {
				t.Errorf("nothing is said of %s", k.Key)
			}
		}
	})
}
