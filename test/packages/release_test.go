package packages_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"poosh/test/process"
)

// A release is what .goreleaser.yaml says, as far as the tests do it themselves.
type release struct {
	Builds []struct {
		Main, Binary        string
		Env, Flags, LDFlags []string
		Goos, Goarch        []string
	}
	NFPMs []map[string]any
}

func readRelease(t *testing.T) *release {
	t.Helper()
	var r release
	decode(t, readFile(t, ".goreleaser.yaml"), &r)
	if len(r.Builds) != 1 || len(r.NFPMs) != 1 || len(r.Builds[0].LDFlags) != 1 {
		t.Fatalf("want one build and one kind of package: %+v", r)
	}
	return &r
}

// build builds the program with what the release tells it of its version, and returns where
// it is. The release's other flags would have all of it compiled anew, see TestRelease.
func (r *release) build(t *testing.T, dir, version string) string {
	t.Helper()
	b := r.Builds[0]
	program := filepath.Join(dir, b.Binary)
	cmd := exec.Command("go", "build", "-ldflags", strings.ReplaceAll(b.LDFlags[0], "{{ .Version }}", version), "-o", program, b.Main)
	cmd.Dir = root
	output(t, cmd)
	return program
}

// What the release builds for whom.
func TestRelease(t *testing.T) {
	b := readRelease(t).Builds[0]
	if !slices.Equal(b.Goos, []string{"linux", "darwin", "windows"}) || !slices.Equal(b.Goarch, []string{"amd64", "arm64"}) {
		t.Errorf("it is for %v on %v", b.Goos, b.Goarch)
	}
	if !slices.Contains(b.Env, "CGO_ENABLED=0") || !slices.Contains(b.Flags, "-trimpath") {
		t.Errorf("it builds with %v and %v, as Dockerfile does not", b.Env, b.Flags)
	}
	if !strings.Contains(b.LDFlags[0], "-X main.Version=v{{ .Version }}") {
		t.Errorf("the program is not told its version: %v", b.LDFlags)
	}
}

// pack makes the package of a version as goreleaser has nfpm do it, and returns its path.
// The program and what packaging/prepare makes are in dir.
func (r *release) pack(t *testing.T, dir, version, format string) string {
	t.Helper()
	config := make(map[string]any)
	for key, value := range r.NFPMs[0] {
		switch key {
		case "id", "ids", "formats", "file_name_template", "bindir": // goreleaser's own
		case "package_name":
			config["name"] = value
		case "overrides": // another word for the same
			for _, of := range value.(map[string]any) {
				if of := of.(map[string]any); of["dependencies"] != nil {
					of["depends"] = of["dependencies"]
					delete(of, "dependencies")
				}
			}
			config[key] = value
		case "mtime":
			config[key] = "2026-01-02T03:04:05Z"
		case "contents":
			var contents []any
			for _, entry := range value.([]any) {
				entry := entry.(map[string]any)
				if src, found := entry["src"].(string); found {
					src = strings.Replace(src, "packaging/generated", dir, 1)
					if !filepath.IsAbs(src) {
						src = abs(t, src)
					}
					entry["src"] = src
				}
				contents = append(contents, entry)
			}
			config[key] = append(contents, map[string]any{
				"src": filepath.Join(dir, r.Builds[0].Binary), "dst": filepath.Join(r.NFPMs[0]["bindir"].(string), r.Builds[0].Binary), "file_info": map[string]any{"mode": 0o755},
			})
		case "scripts":
			for name, script := range value.(map[string]any) {
				if script := script.(string); !filepath.IsAbs(script) {
					value.(map[string]any)[name] = abs(t, script)
				}
			}
			config[key] = value
		default:
			config[key] = value
		}
	}
	config["version"], config["arch"], config["platform"] = "v"+version, runtime.GOARCH, "linux"
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "nfpm.yaml")
	writeFile(t, file, string(raw)) // JSON is YAML
	target := filepath.Join(t.TempDir(), "poosh_"+version+"."+format)
	output(t, exec.Command(python("nfpm"), "package", "--config", file, "--packager", format, "--target", target))
	return target
}

// packages makes a package of each version that is asked for.
func packages(t *testing.T, format string, versions ...string) (paths []string) {
	t.Helper()
	r := readRelease(t)
	for _, version := range versions {
		dir := filepath.Join(scratch, version)
		if err := os.Mkdir(dir, 0o755); err == nil { // no other test has built it
			program := r.build(t, dir, version)
			output(t, exec.Command(abs(t, "packaging", "prepare"), dir, program))
		}
		paths = append(paths, r.pack(t, dir, version, format))
	}
	return paths
}

var (
	once     sync.Once
	built    string
	buildErr error
)

// poosh is the program, built once.
func poosh(t *testing.T) string {
	t.Helper()
	once.Do(func() { built, buildErr = process.Build(scratch, false) })
	if buildErr != nil {
		t.Fatal(buildErr)
	}
	return built
}
