package packages_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A listed package is one as "go list" tells of it.
type listed struct {
	ImportPath, Dir, Name string
	GoFiles               []string
	ImportMap             map[string]string
	Module                *struct{ Main bool }
	Error                 *struct{ Err string }
	DepsErrors            []*struct{ Err string }
}

// The program and its tests are right for each system of the release, as far as the types
// say: all of our own is looked at, and of others what we call. test/run compiles it for two
// of them; to do so for each takes minutes, and nothing here could run it.
func TestOtherSystems(t *testing.T) {
	b := readRelease(t).Builds[0]
	for _, goos := range b.Goos {
		for _, goarch := range b.Goarch {
			if goos == "linux" && goarch == "amd64" {
				continue // what everything else here is tested on
			}
			t.Run(goos+"/"+goarch, func(t *testing.T) {
				t.Parallel()
				if n := typecheck(t, goos, goarch); n < 60 {
					t.Errorf("%d packages of ours were looked at", n)
				}
			})
		}
	}
}

// typecheck looks at all packages of the program for a system and says how many are ours.
func typecheck(t *testing.T, goos, goarch string) (ours int) {
	t.Helper()
	cmd := exec.Command("go", "list", "-e", "-deps", "-test", "-json=ImportPath,Dir,Name,GoFiles,ImportMap,Module,Error,DepsErrors", ".", "./auth/...", "./server/...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH="+goarch, "CGO_ENABLED=0")
	text := output(t, cmd)
	done := map[string]*types.Package{"unsafe": types.Unsafe}
	files := token.NewFileSet()
	for dec := json.NewDecoder(strings.NewReader(text)); ; {
		var p listed
		if err := dec.Decode(&p); err == io.EOF {
			return ours
		} else if err != nil {
			t.Fatal(err)
		}
		if p.Error != nil {
			t.Fatalf("%s: %s", p.ImportPath, p.Error.Err)
		}
		if p.ImportPath == "unsafe" || strings.HasSuffix(p.ImportPath, ".test") { // what go test writes
			continue
		}
		mine := p.Module != nil && p.Module.Main
		mode := parser.SkipObjectResolution
		var parsed []*ast.File
		for _, name := range p.GoFiles {
			f, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, mode)
			if err != nil {
				t.Fatal(err)
			}
			parsed = append(parsed, f)
		}
		var wrong []error
		config := types.Config{
			Sizes:            types.SizesFor("gc", goarch),
			IgnoreFuncBodies: !mine,
			FakeImportC:      true,
			Error:            func(err error) { wrong = append(wrong, err) },
			Importer: importer(func(path string) (*types.Package, error) {
				if mapped, found := p.ImportMap[path]; found {
					path = mapped
				}
				return done[path], nil
			}),
		}
		path, _, _ := strings.Cut(p.ImportPath, " ") // of a package for its tests
		pkg, _ := config.Check(path, files, parsed, nil)
		done[p.ImportPath] = pkg
		if mine {
			ours++
			for _, err := range wrong {
				t.Error(err)
			}
		}
	}
}

type importer func(path string) (*types.Package, error)

func (i importer) Import(path string) (*types.Package, error) { return i(path) }
