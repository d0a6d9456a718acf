//go:build linux

package main

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// The build that can be profiled is poosh and one file more, so that what is measured
// with it is what ships.
func TestProfiledIsPoosh(t *testing.T) {
	files := func(tags string) []string {
		t.Helper()
		out, err := exec.Command("go", "list", "-tags", tags, "-f", `{{join .GoFiles "\n"}}`, "poosh").Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		return strings.Fields(string(out))
	}
	ships, profiled := files(""), files("profiled")
	if more := append(slices.Clone(ships), "profiled.go"); !slices.Contains(ships, "main.go") || !slices.Equal(slices.Sorted(slices.Values(more)), profiled) {
		t.Errorf("it is made of %v, and poosh of %v", profiled, ships)
	}
	program := filepath.Join(t.TempDir(), "profiled")
	if out, err := exec.Command("go", "build", "-tags", "profiled", "-o", program, "poosh").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p, err := startProcess(func(*process) ([]string, []string, error) { return []string{program}, nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	if err := p.startProfile(); err != nil {
		t.Error(err)
	}
	if err := p.stopProfile(filepath.Join(t.TempDir(), "cpu")); err != nil {
		t.Error(err)
	}
	if _, err := p.waited(); err != nil {
		t.Error(err)
	}
	if a, err := p.allocated(); err != nil || a.objects == 0 || a.bytes == 0 {
		t.Errorf("%+v, %v", a, err)
	}
	// Without its own setting it is not started by mistake.
	bare := exec.Command(program, "--version")
	bare.Env = []string{}
	if out, err := bare.CombinedOutput(); err == nil || !strings.Contains(string(out), "PROFILE_ADDR is not set") {
		t.Errorf("%s, %v", out, err)
	}
}
