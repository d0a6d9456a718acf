package respond

import (
	"net/http/httptest"
	"testing"
)

func TestForms(t *testing.T) {
	for _, row := range []struct {
		form       Form
		want, kind string
	}{
		{Go, `{"error":"\u003ca\u003e"}`, "application/json"},
		{Express, `{"error":"<a>"}`, "application/json; charset=utf-8"},
		{Form{Type: "x/y", Line: true}, `{"error":"\u003ca\u003e"}` + "\n", "x/y"},
	} {
		w := httptest.NewRecorder()
		row.form.Error(w, 418, "<a>")
		if w.Code != 418 || w.Body.String() != row.want || w.Header().Get("Content-Type") != row.kind {
			t.Errorf("%d %v %q, want %q", w.Code, w.Header(), w.Body, row.want)
		}
	}
	w := httptest.NewRecorder()
	Text(w, 200, "<a>")
	if w.Body.String() != "<a>" || w.Header().Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%v %q", w.Header(), w.Body)
	}
}
