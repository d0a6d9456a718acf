package server

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What a line of the file of settings costs does not grow with how many settings there are:
// each command reads the file, and so does each check of health.
func TestNoticesAreCheap(t *testing.T) {
	allocs := func(lines int) float64 {
		var text strings.Builder
		for i := range lines {
			fmt.Fprintf(&text, "SHOP_%d=value\n", i)
		}
		path := filepath.Join(t.TempDir(), ".env")
		if err := os.WriteFile(path, []byte(text.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return testing.AllocsPerRun(5, func() { fileNotices(path) })
	}
	if more := allocs(300) - allocs(100); more > 200*10 {
		t.Errorf("200 lines more cost %.0f allocations", more)
	}
}

// A check that names a setting that is none looks at nothing, and says nothing.
func TestChecksNameSettings(t *testing.T) {
	files, err := filepath.Glob("check*.go")
	if err != nil {
		t.Fatal(err)
	}
	whole := regexp.MustCompile(`^[A-Z][A-Z0-9]*(_[A-Z0-9]+)+$`)
	found := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			text, ok := n.(*ast.BasicLit)
			if !ok || text.Kind != token.STRING {
				return true
			}
			name, err := strconv.Unquote(text.Value)
			if err != nil {
				t.Fatal(err)
			}
			suffix := strings.HasPrefix(name, "_")
			if !whole.MatchString(strings.TrimPrefix(name, "_")) {
				return true
			}
			found++
			if !slices.ContainsFunc(Settings(), func(s Setting) bool {
				return s.Name == name || suffix && strings.HasSuffix(s.Name, name)
			}) {
				t.Errorf("%s names %s, which is no setting", file, name)
			}
			return true
		})
	}
	for _, g := range newConfig().groups {
		names := slices.Clone(g.Origins)
		for _, b := range g.Within {
			names = append(names, b.Name, b.Of)
		}
		for _, f := range g.Files {
			names = append(names, f.Name)
		}
		for _, name := range names {
			found++
			if !slices.ContainsFunc(Settings(), func(s Setting) bool { return s.Name == name }) {
				t.Errorf("%s: %s is no setting", g.Title, name)
			}
		}
	}
	if found < 40 {
		t.Errorf("%d names are found, and there are more", found)
	}
}
