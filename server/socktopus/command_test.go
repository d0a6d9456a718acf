package socktopus

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"poosh/auth"
)

func TestTokenCommand(t *testing.T) {
	var out, errs bytes.Buffer
	if code := TokenCommand([]string{"MyApp", "s3cret", "12"}, &out, &errs); code != 0 || errs.Len() != 0 {
		t.Fatal(code, errs.String())
	}
	text, ok := strings.CutPrefix(out.String(), "Generated Token: ")
	token, err := auth.ParseSocktopus(strings.TrimSuffix(text, "\n"))
	if !ok || err != nil || token.Name != "MyApp" || token.ID != "12" || token.Check("s3cret") != nil || token.InTime(time.Now()) != nil {
		t.Errorf("%q: %+v, %v", out.String(), token, err)
	}
	out.Reset()
	var said struct{ Token string }
	if code := TokenCommand([]string{"--json", "MyApp", "s3cret", "12"}, &out, &errs); code != 0 || json.Unmarshal(out.Bytes(), &said) != nil {
		t.Errorf("%d %q %q", code, out.String(), errs.String())
	}
	if token, err := auth.ParseSocktopus(said.Token); err != nil || token.Check("s3cret") != nil {
		t.Errorf("%q: %v", out.String(), err)
	}
	for _, args := range [][]string{nil, {"a"}, {"a", "b"}, {"a", "b", "c", "d"}} {
		out.Reset()
		if code := TokenCommand(args, &out, &errs); code != 2 || out.Len() != 0 || !strings.Contains(errs.String(), "NAME SECRET CONNECTION") {
			t.Errorf("%q: %d %q", args, code, out.String())
		}
	}
}
