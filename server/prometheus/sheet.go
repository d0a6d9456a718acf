package prometheus

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	dto "github.com/prometheus/client_model/go"

	"poosh/server/metric"
)

// A gatherer is what promhttp asks for all metrics: the readings of that moment, and what
// the library's own collectors tell of the process.
//
// # Why
//
// A registry makes each metric anew at each scrape, checks it against all others and sorts
// them, which takes most of a scrape, though from one to the next nothing changes but the
// values. So the library checks and sorts once, and what it made is kept with a note of
// which value belongs where, until readings come in another shape.
type gatherer struct {
	read            func() []metric.Reading
	host            func() (Host, bool)
	golang, process prometheus.Gatherer
	free            chan *sheet // those that no scrape uses; of more than it holds the rest is dropped
}

func newGatherer(read func() []metric.Reading, host func() (Host, bool)) *gatherer {
	return &gatherer{
		read, host,
		registered(collectors.NewGoCollector()), registered(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
		make(chan *sheet, atOnce),
	}
}

func registered(c prometheus.Collector) *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(c)
	return r
}

// Gather implements [prometheus.TransactionalGatherer]: what it returns is good until done.
func (g *gatherer) Gather() (all []*dto.MetricFamily, done func(), err error) {
	s := g.take()
	golang, err := g.golang.Gather()
	process, processErr := s.fillProcess(g.host, g.process)
	all = append(golang, process...)
	readings, readErr := g.readings()
	if readErr == nil {
		all = append(all, s.fill(readings)...)
		readErr = s.err
	}
	slices.SortFunc(all, func(a, b *dto.MetricFamily) int { return strings.Compare(a.GetName(), b.GetName()) })
	return all, func() { g.give(s) }, errors.Join(err, processErr, readErr)
}

// readings reads, and has a panic be an error, so that the rest is told.
func (g *gatherer) readings() (list []metric.Reading, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a reading came to a panic: %v", p)
		}
	}()
	return g.read(), nil
}

func (g *gatherer) take() *sheet {
	select {
	case s := <-g.free:
		return s
	default:
		return new(sheet)
	}
}

func (g *gatherer) give(s *sheet) {
	select {
	case g.free <- s:
	default:
	}
}

// A sheet is what one scrape after another writes down. It is for one at a time.
type sheet struct {
	forms    []form              // of the readings that it was made for, in their order
	families []*dto.MetricFamily // of those, by name
	err      error               // what the library found wrong with them
	process  []*dto.MetricFamily // of the process; nil until it is first asked
}

// A form is what a reading says beside its values.
type form struct {
	name, help string
	kind       metric.Kind
	labels     []string
	places     []place // of its samples; a histogram has one
}

// A place is where a value goes.
type place struct {
	labels []string
	to     *dto.Metric // nil where the library took it for wrong
}

// fill returns the families with the values of readings.
func (s *sheet) fill(readings []metric.Reading) []*dto.MetricFamily {
	if !s.set(readings) {
		s.make(readings)
	}
	return s.families
}

// set writes down the values of readings, and reports whether that is all that they differ
// in, and nothing is wrong with them.
func (s *sheet) set(readings []metric.Reading) bool {
	if !slices.EqualFunc(s.forms, readings, form.fits) {
		return false
	}
	for i := range readings {
		if !s.forms[i].set(&readings[i]) {
			return false
		}
	}
	return true
}

// make has the library make the families of readings.
func (s *sheet) make(readings []metric.Reading) {
	r := prometheus.NewRegistry()
	r.MustRegister(collector(func() []metric.Reading { return readings }))
	s.families, s.err = r.Gather()
	by := make(map[string]*dto.MetricFamily, len(s.families))
	for _, f := range s.families {
		by[f.GetName()] = f
	}
	s.forms = make([]form, 0, len(readings))
	taken := make(map[*dto.Metric]bool)
	for i := range readings {
		f := newForm(&readings[i], by[Prefix+readings[i].Name])
		for j := range f.places {
			p := &f.places[j]
			if taken[p.to] { // of two that are the same the library took the first
				p.to = nil
			}
			taken[p.to] = true
		}
		s.forms = append(s.forms, f)
	}
}

// newForm notes where the values of a reading go in its family; nil for none.
func newForm(r *metric.Reading, family *dto.MetricFamily) form {
	f := form{name: r.Name, help: r.Help, kind: r.Kind, labels: slices.Clone(r.Labels)}
	if r.Name == "" {
		return f
	}
	if r.Kind == metric.IsHistogram {
		f.places = []place{{to: find(family, nil, nil)}}
		return f
	}
	for _, sample := range r.Samples {
		f.places = append(f.places, place{slices.Clone(sample.Labels), find(family, r.Labels, sample.Labels)})
	}
	return f
}

// find returns the metric of a family with these values of labels, in the order of their
// names; nil if there is none.
func find(family *dto.MetricFamily, names, values []string) *dto.Metric {
	i := slices.IndexFunc(family.GetMetric(), func(m *dto.Metric) bool {
		return len(names) == len(values) && len(m.Label) == len(names) && !slices.ContainsFunc(m.Label, func(l *dto.LabelPair) bool {
			at := slices.Index(names, l.GetName())
			return at < 0 || values[at] != l.GetValue()
		})
	})
	if i < 0 {
		return nil
	}
	return family.Metric[i]
}

// fits reports whether a reading differs from what the form was made for in values alone.
// What has no name is not told, whatever it is.
func (f form) fits(r metric.Reading) bool {
	if r.Name == "" || f.name == "" {
		return r.Name == f.name
	}
	if f.name != r.Name || f.help != r.Help || f.kind != r.Kind || !slices.Equal(f.labels, r.Labels) {
		return false
	}
	return r.Kind == metric.IsHistogram || slices.EqualFunc(f.places, r.Samples, func(p place, s metric.Sample) bool {
		return slices.Equal(p.labels, s.Labels)
	})
}

// set writes down the values of a reading. It fails for a histogram that the library has
// something against, or had: of others it looks at what forms are of alone.
func (f *form) set(r *metric.Reading) bool {
	for i, p := range f.places {
		switch {
		case r.Kind == metric.IsHistogram:
			if p.to == nil || setHistogram(p.to, r) != nil {
				return false
			}
		case p.to == nil:
		case r.Kind == metric.IsCounter:
			*p.to.Counter.Value = r.Samples[i].Value
		default:
			*p.to.Gauge.Value = r.Samples[i].Value
		}
	}
	return true
}
