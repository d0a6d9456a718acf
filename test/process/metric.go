package process

import (
	"strconv"
	"strings"
	"testing"
)

// Metric is the value of a metric, by its name and labels as they are written, in what GET /metrics answers; -1 where it is not
// there.
func Metric(t testing.TB, text, name string) int {
	t.Helper()
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			number, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				t.Fatal(err)
			}
			return int(number)
		}
	}
	return -1
}
