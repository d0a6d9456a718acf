package migration

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// What is made of a file of a bounded size has bounds too.
func TestReferencesAreBounded(t *testing.T) {
	for name, text := range map[string]string{"given": strings.Repeat("${A}", 30_000), "default": strings.Repeat("${B:-b}", 30_000)} {
		got, err := sockudoExpand(text, map[string]string{"A": strings.Repeat("a", 100)})
		if bad := name == "given"; bad != (err != nil) || bad && got != "" {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

func TestKeysAreBounded(t *testing.T) {
	var deep any = map[string]any{"a": 1, "b": 2}
	for range 4 {
		deep = map[string]any{strings.Repeat("x", 300): deep}
	}
	if list := flatten(nil, deep); len(list) != 1 || list[0].value != (expression{}) || len(list[0].name) > 2*longestPath {
		t.Errorf("a long path: %d entries", len(list))
	}
	var many strings.Builder
	many.WriteString(`{"appManager.array.apps":[`)
	for range maxKeys {
		many.WriteString(`[1],`)
	}
	many.WriteString("[]]}")
	if code, _, errs := fromText(t, "x.json", many.String(), Options{From: "soketi"}); code != Failed || !strings.Contains(errs, "more than 50000 keys") {
		t.Errorf("%d, %.200s", code, errs)
	}
	// As text within a text, of several apps.
	hooks := `"` + strings.Repeat("[1],", maxKeys/2) + `[]"`
	text := `{"appManager.array.apps":[`
	for i := range 3 {
		text += fmt.Sprintf(`{"id":"%d","key":"k%d","secret":"secret-of-hooks","webhooks":%s},`, i, i, strings.Replace(hooks, `"[`, `"[[`, 1)[:len(hooks)]+`]"`)
	}
	code, _, errs := fromText(t, "x.json", strings.TrimSuffix(text, ",")+"]}", Options{From: "soketi"})
	if code != NeedLook || !strings.Contains(errs, "appManager.array.apps.2.webhooks: has too many keys") {
		t.Errorf("%d, %.2000s", code, errs)
	}
}

// Many apps and webhooks do not take the square of their number.
func TestManyApps(t *testing.T) {
	const n = 100_000
	d := newDraft(soketi())
	start := time.Now()
	for i := range n {
		at := strconv.Itoa(i)
		if a := d.app(at); d.app(at) != a || d.apps[i] != a {
			t.Fatalf("app %d is another one", i)
		}
		if h := d.apps[0].hook(at); d.apps[0].hook(at) != h || d.apps[0].hooks[i] != h {
			t.Fatalf("webhook %d is another one", i)
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("%d apps and webhooks took %v", n, took)
	}
}

// Of a large environment of other programs not every name is compared with all of ours.
func TestManyForeignNames(t *testing.T) {
	s := sockudo()
	env := map[string]string{"ZOCKUDO_DEFAULT_APP_ID": "1"}
	if list, others := s.variableEntries(env); len(list) != 1 || len(others) != 0 {
		t.Fatalf("a slip is not seen: %v, %v", list, others)
	}
	for i := range manyUnknown {
		env["FOREIGN"+strconv.Itoa(i)] = "1"
	}
	if list, others := s.variableEntries(env); len(list) != 0 || len(others) != manyUnknown+1 {
		t.Errorf("%d entries and %d others: all names were compared", len(list), len(others))
	}
}
