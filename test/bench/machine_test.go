//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMachineIsRead(t *testing.T) {
	if got := cpuModel([]byte("processor\t: 0\nvendor_id\t: x\nmodel name\t: AMD EPYC 7\nmodel name\t: other\n")); got != "AMD EPYC 7" {
		t.Errorf("model %q", got)
	}
	if got := cpuModel(nil); got != "unknown" {
		t.Errorf("model %q of nothing", got)
	}
	if got := loadAverage([]byte("1.25 0.50 0.1 2/300 4711\n")); got != 1.25 {
		t.Errorf("load %v", got)
	}
	s := newSetting(options{commit: "abc", payload: 150, rounds: 3}, 1000)
	if s.Kernel == "" || s.Machine == "" || !strings.HasPrefix(s.Go, "go") {
		t.Errorf("%+v", s)
	}
}

// Results say what they hold for, in the report and in the file, and whether the
// machine did something else.
func TestResultsCarryTheirSetting(t *testing.T) {
	r := &results{setting: setting{Commit: "abc-dirty", Before: "def", Date: "2026-01-02", Machine: "2 CPUs", Load: 0.1}}
	r.add("burst", poosh, metrics{"cpu us": 1})
	var out bytes.Buffer
	r.print(&out, works(false, size{}))
	for _, want := range []string{"Commit abc-dirty, 2026-01-02. 2 CPUs", "commit def"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "NOT QUIET") {
		t.Error("a quiet machine is called noisy")
	}
	r.setting.Load = 3
	if text := r.setting.String(); !strings.Contains(text, "NOT QUIET") {
		t.Errorf("a busy machine passes for quiet: %s", text)
	}
	file := filepath.Join(t.TempDir(), "out.json")
	if err := r.write(file); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Setting      setting
		Observations []observation
	}
	if err := json.Unmarshal(text, &back); err != nil || back.Setting != r.setting || len(back.Observations) != 1 {
		t.Errorf("%v: read back as %+v", err, back)
	}
}
