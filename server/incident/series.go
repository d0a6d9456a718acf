package incident

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"poosh/server/metric"
)

const (
	// seconds is how many samples a series keeps.
	seconds = 15 * 60
	// maxColumns is how many numbers a sample has at the most: two megabytes with all
	// of them.
	maxColumns = 256
)

// series are numbers of the last quarter of an hour, once a second. Which there are shows
// as they come: counts by name have a column for each name, once it is counted.
type series struct {
	mu      sync.Mutex // guards what follows
	columns []string
	at      map[string]int // of columns
	samples []sample       // a ring
	next    int            // in samples, where the oldest is once there are enough
}

type sample struct {
	when   time.Time
	values []int64 // in the order of columns; those that came later are missing
}

// add keeps the numbers of a moment.
func (s *series) add(now time.Time, readings []metric.Reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.samples) < seconds {
		s.samples = append(s.samples, sample{})
		s.next = len(s.samples) - 1
	}
	it := &s.samples[s.next]
	s.next = (s.next + 1) % seconds
	it.when = now
	clear(it.values) // what is not counted any more is 0
	for _, r := range readings {
		name := r.Key
		if name == "" {
			name = r.Name
		}
		for _, n := range r.Samples {
			switch {
			case len(r.Labels) == 0:
				s.set(it, name, int64(n.Value))
			case n.Value != 0:
				s.set(it, name+"/"+strings.Join(n.Labels, " "), int64(n.Value))
			}
		}
	}
}

// set keeps one number, if there is a column for it. s.mu is held.
func (s *series) set(it *sample, name string, value int64) {
	i, known := s.at[name]
	if !known {
		if len(s.columns) >= maxColumns {
			return
		}
		if s.at == nil {
			s.at = make(map[string]int)
		}
		i = len(s.columns)
		s.columns, s.at[name] = append(s.columns, name), i
	}
	if i >= len(it.values) {
		it.values = append(it.values, make([]int64, i+1-len(it.values))...)
	}
	it.values[i] = value
}

// csv returns all there is, oldest first, with names in the first line.
func (s *series) csv() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	order := make([]int, len(s.columns))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(s.columns[a], s.columns[b]) })
	var text bytes.Buffer
	w := csv.NewWriter(&text)
	row := []string{"time"}
	for _, i := range order {
		row = append(row, s.columns[i])
	}
	_ = w.Write(row)
	first := 0
	if len(s.samples) == seconds {
		first = s.next
	}
	for n := range s.samples {
		it := &s.samples[(first+n)%len(s.samples)]
		row = append(row[:0], it.when.UTC().Format("2006-01-02T15:04:05.000Z"))
		for _, i := range order {
			value := ""
			if i < len(it.values) {
				value = strconv.FormatInt(it.values[i], 10)
			}
			row = append(row, value)
		}
		_ = w.Write(row) // to memory
	}
	w.Flush()
	return text.Bytes(), w.Error()
}
