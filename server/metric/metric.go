// Package metric counts what happens, and carries the numbers of this moment from the
// parts of the program to whoever shows them: the line that SIGUSR1 writes and what a
// collector such as Prometheus asks for are made of the same [Reading] values.
//
// # Why
//
// Nothing is kept twice: a gauge is read from what it measures when somebody asks, and a
// counter is one atomic number. Labels are values of closed lists, never a stranger's
// words: no room, user, address or text that somebody sent is one.
package metric

import "strings"

// A Reading is the numbers of this moment that have one name, for people and programs.
type Reading struct {
	// Key is what they are called in the line of [Attrs]; empty for none there. Several
	// readings may have one, and their samples stand together then.
	Key string
	// Name is what a collector calls them, without the prefix of all; empty for none
	// there. It has its unit in it, and _total if Kind is [IsCounter].
	Name string
	Help string // one sentence for people: what it is, with its unit
	Kind Kind
	// Labels are the names of what Samples are told apart by; none for one number.
	Labels  []string
	Samples []Sample
	// Histogram is what Kind [IsHistogram] has in place of labels and samples.
	Histogram *Histogram
}

// A Sample is one number, with the values of its reading's labels in their order.
type Sample struct {
	Labels []string
	Value  float64
}

// Number is what can be read.
type Number interface {
	~int | ~int64 | ~uint64 | ~float64
}

// Of returns a sample with the values of its labels.
func Of[T Number](n T, labels ...string) Sample { return Sample{labels, float64(n)} }

// A Kind says how a reading changes.
type Kind int

// The kinds.
const (
	IsGauge     Kind = iota // goes up and down
	IsCounter               // goes up, from 0 at the start
	IsHistogram             // how many were of which size, from none at the start
)

// A Histogram is how many of some things were of which size, twice: by a few bounds, as all
// collectors read it, and by exponential buckets, which Prometheus calls a native
// histogram.
type Histogram struct {
	Count uint64
	Sum   float64 // of the sizes

	Bounds []float64 // upper bounds, ascending, without infinity
	Below  []uint64  // how many were not above each of them

	// Fine is how many are in each exponential bucket that is not empty: bucket i has what
	// is up to 2^(i/2^Schema) and above what bucket i-1 has.
	Schema int
	Fine   map[int]int64
}

// Gauge is a reading of something that goes up and down.
func Gauge[T Number](key, name, help string, n T) Reading {
	return Reading{Key: key, Name: name, Help: help, Kind: IsGauge, Samples: []Sample{Of(n)}}
}

// Counter is a reading of how often something has happened, or how much there was.
func Counter[T Number](key, name, help string, n T) Reading {
	return Reading{Key: key, Name: name, Help: help, Kind: IsCounter, Samples: []Sample{Of(n)}}
}

// Counters is a reading of counts by one label.
func Counters(key, name, help, label string, list []Sample) Reading {
	return Reading{Key: key, Name: name, Help: help, Kind: IsCounter, Labels: []string{label}, Samples: list}
}

// Attrs are the keys and values of readings, for a line of a log: a number, or those that
// are not zero by their labels.
func Attrs(readings []Reading) []any {
	attrs := make([]any, 0, 2*len(readings))
	groups := make(map[string]map[string]int64)
	for _, r := range readings {
		switch {
		case r.Key == "" || r.Kind == IsHistogram:
		case len(r.Labels) == 0:
			attrs = append(attrs, r.Key, int64(r.Samples[0].Value))
		default:
			by := groups[r.Key]
			if by == nil {
				by = make(map[string]int64)
				groups[r.Key] = by
				attrs = append(attrs, r.Key, by)
			}
			for _, s := range r.Samples {
				if s.Value != 0 {
					by[strings.Join(s.Labels, " ")] += int64(s.Value)
				}
			}
		}
	}
	return attrs
}
