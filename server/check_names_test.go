package server

import (
	"fmt"
	"os"
	"path/filepath"
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
