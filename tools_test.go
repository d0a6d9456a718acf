package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// What tests want to be installed, and say so when it is not there, test/run installs.
func TestRunInstallsWhatTestsWant(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("test", "run"))
	if err != nil {
		t.Fatal(err)
	}
	installs := regexp.MustCompile(`[\w.+-]+`).FindAllString(string(text), -1)
	says := regexp.MustCompile(`apt-get install (?:-y --no-install-recommends )?((?: ?[a-z][a-z0-9.+-]+)+)`)
	bench := filepath.Join("test", "bench") // which test/bench/run starts
	wanted := 0
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() && path != "." && (name[0] == '.' || name == "node_modules" || path == bench) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		source, err := os.ReadFile(path)
		for _, match := range says.FindAllStringSubmatch(string(source), -1) {
			for name := range strings.FieldsSeq(match[1]) {
				wanted++
				if !slices.Contains(installs, name) {
					t.Errorf("%s wants %s, which test/run does not install", path, name)
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if wanted < 20 {
		t.Errorf("%d packages are wanted", wanted)
	}
}
