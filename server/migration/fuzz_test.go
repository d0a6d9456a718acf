package migration

import (
	"strings"
	"testing"
)

// FuzzRun has every reader and every source take what it is given.
func FuzzRun(f *testing.F) {
	for _, fixture := range fixtures {
		text, err := readAll("testdata/"+fixture.file, strings.NewReader(""))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, uint8(0))
	}
	f.Add(`{"appManager.array.apps":[{"webhooks":"[{}]","allowed_origins":{}}],"a.b":[[]]}`, uint8(1))
	f.Add("[[app_manager.array.apps]]\nid = 1\n[app_manager.array.apps.policy]\nwebhooks = [{}]\n", uint8(2))
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
