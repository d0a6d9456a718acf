package series

import (
	"bytes"
	"encoding/csv"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"poosh/server/metric"
)

// maxColumns is how many numbers a sample has at the most: with all of them the series
// take 7 MB, and with those that a server usually has two.
const maxColumns = 256

// A Level is series of one resolution.
type Level struct {
	Step time.Duration
	Keep int // samples
}

// Levels are what there is: each second of the last quarter of an hour, every ten of the
// last three hours, and the minutes of a day.
var Levels = []Level{{time.Second, 15 * 60}, {10 * time.Second, 3 * 60 * 6}, {time.Minute, 24 * 60}}

// A column is one number of the samples.
type column struct {
	name string
	kind metric.Kind
}

// A store is numbers of the last day. Which there are shows as they come: counts by name
// have a column for each name, once it is counted.
type store struct {
	mu      sync.Mutex // guards what follows
	columns []column
	at      map[string]int // of columns
	rings   []ring         // as Levels
	began   time.Time
}

// A ring is the samples of one level.
type ring struct {
	Level
	samples []sample // grows to Keep
	next    int      // where the oldest is, once there are enough
	open    sample   // of the step that is not over; of the first level there is none
}

type sample struct {
	when   time.Time // of the last that is in it
	values []float64 // in the order of columns; those that came later are missing
}

func newStore() *store {
	s := &store{at: make(map[string]int)}
	for _, l := range Levels {
		s.rings = append(s.rings, ring{Level: l})
	}
	return s
}

// add keeps the numbers of a moment.
func (s *store) add(now time.Time, readings []metric.Reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.began.IsZero() {
		s.began = now
	}
	now = s.began.Add(now.Sub(s.began)) // by the clock that does not jump
	fine := &s.rings[0]
	it := fine.place()
	it.when = now
	clear(it.values) // what is not counted any more is 0
	for i := range readings {
		s.read(it, &readings[i])
	}
	for i := range s.rings[1:] {
		s.rings[i+1].merge(it, s.columns)
	}
}

// read keeps one reading. s.mu is held.
func (s *store) read(it *sample, r *metric.Reading) {
	name := r.Key
	if name == "" {
		name = r.Name
	}
	for _, n := range r.Samples {
		switch {
		case len(r.Labels) == 0:
			s.set(it, name, r.Kind, n.Value)
		case n.Value != 0:
			s.set(it, name+"/"+strings.Join(n.Labels, " "), r.Kind, n.Value)
		}
	}
}

// set keeps one number, if there is a column for it. s.mu is held.
func (s *store) set(it *sample, name string, kind metric.Kind, value float64) {
	i, known := s.at[name]
	if !known {
		if len(s.columns) >= maxColumns {
			return
		}
		i = len(s.columns)
		s.columns, s.at[name] = append(s.columns, column{name, kind}), i
	}
	it.grow(i + 1)
	it.values[i] = value
}

// grow has a sample have at least n values.
func (it *sample) grow(n int) {
	if more := n - len(it.values); more > 0 {
		it.values = append(it.values, make([]float64, more)...)
	}
}

// place is where the next sample goes: behind the others, or where the oldest was.
func (r *ring) place() *sample {
	if len(r.samples) < r.Keep {
		r.samples = append(r.samples, sample{})
		r.next = len(r.samples) - 1
	}
	it := &r.samples[r.next]
	r.next = (r.next + 1) % r.Keep
	return it
}

// merge adds a sample to the step that is not over: of a gauge the greatest of a step
// counts, of a counter the last.
func (r *ring) merge(it *sample, columns []column) {
	if !r.open.when.IsZero() && !r.start(r.open.when).Equal(r.start(it.when)) {
		place := r.place()
		*place, r.open = r.open, sample{values: place.values[:0]}
	}
	r.open.when = it.when
	for i, v := range it.values {
		switch {
		case i >= len(r.open.values):
			r.open.values = append(r.open.values, v)
		case columns[i].kind == metric.IsGauge:
			r.open.values[i] = max(v, r.open.values[i])
		default:
			r.open.values[i] = v
		}
	}
}

// start is when the step of a time began; of the first level each sample is one.
func (r *ring) start(when time.Time) time.Time {
	if r.Step == time.Second {
		return when
	}
	return when.Truncate(r.Step)
}

// all yields the samples that are over, oldest first.
func (r *ring) all(yield func(*sample) bool) {
	first := 0
	if len(r.samples) == r.Keep {
		first = r.next
	}
	for n := range r.samples {
		if !yield(&r.samples[(first+n)%len(r.samples)]) {
			return
		}
	}
}

// value is a number of a sample, 0 for one that was not counted then.
func (it *sample) value(column int) float64 {
	if column < len(it.values) {
		return it.values[column]
	}
	return 0
}

// A Line is one number over time.
type Line struct {
	Name   string
	Kind   metric.Kind
	Values []float64 // one for each time, NaN for none; of a counter per second
}

// lines returns what a level has of some names from a time on.
func (s *store) lines(step time.Duration, from time.Time, names []string) (times []time.Time, lines []Line) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &s.rings[slices.IndexFunc(s.rings, func(r ring) bool { return r.Step == step })]
	lines = make([]Line, len(names))
	at := make([]int, len(names))
	for i, name := range names {
		lines[i].Name, at[i] = name, -1
		if place, known := s.at[name]; known {
			lines[i].Kind, at[i] = s.columns[place].kind, place
		}
	}
	var before *sample
	for it := range r.all {
		if start := r.start(it.when); !start.Before(from) {
			times = append(times, start)
			for i := range lines {
				lines[i].add(at[i], before, it)
			}
		}
		before = it
	}
	return times, lines
}

// add appends a sample's value.
func (l *Line) add(column int, before, it *sample) {
	value := math.NaN()
	switch {
	case column < 0:
	case l.Kind == metric.IsGauge:
		value = it.value(column)
	case before != nil:
		value = Rate(it.value(column)-before.value(column), it.when.Sub(before.when))
	}
	l.Values = append(l.Values, value)
}

// Rate is how much a counter grew a second, at least 0; 0 for no time at all.
func Rate(growth float64, in time.Duration) float64 {
	if in <= 0 {
		return 0
	}
	return max(0, growth/in.Seconds())
}

// csv returns what there is of each second, oldest first, with names in the first line.
func (s *store) csv() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	order := make([]int, len(s.columns))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(s.columns[a].name, s.columns[b].name) })
	var text bytes.Buffer
	w := csv.NewWriter(&text)
	row := []string{"time"}
	for _, i := range order {
		row = append(row, s.columns[i].name)
	}
	_ = w.Write(row)
	for it := range s.rings[0].all {
		row = append(row[:0], it.when.UTC().Format("2006-01-02T15:04:05.000Z"))
		for _, i := range order {
			value := ""
			if i < len(it.values) {
				value = strconv.FormatFloat(it.values[i], 'f', -1, 64)
			}
			row = append(row, value)
		}
		_ = w.Write(row) // to memory
	}
	w.Flush()
	return text.Bytes(), w.Error()
}
