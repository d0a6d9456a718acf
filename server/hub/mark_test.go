package hub

import (
	"strconv"
	"testing"

	"poosh/server/latency"
)

// A carrier is a receiver that says by hand when what it took has been written.
type carrier struct {
	inbox
	marks []*latency.Mark
}

func (c *carrier) DeliverMarked(frame []byte, k *latency.Mark) bool {
	if !c.Deliver(frame) {
		return false
	}
	k.Carry()
	c.marks = append(c.marks, k)
	return true
}

func (c *carrier) pass() {
	for _, k := range c.marks {
		k.Pass()
	}
	c.marks = nil
}

// A publication is measured until the last who took it has written it, those behind a
// bridge too; nobody waits for who was left out or did not take it.
func TestMeasured(t *testing.T) {
	h, k, m := New(), &kind{}, latency.New()
	h.Measure(m)
	h.Bridge("", "other", func(*Publication) bool { return true })
	var all [5]carrier
	for i := range all {
		app := ""
		if i == 4 {
			app = "other"
		}
		_ = h.Join(h.Register(app, strconv.Itoa(i), 1, k, &all[i]), "r")
	}
	var plain inbox
	_ = h.Join(h.Register("", "plain", 1, k, &plain), "r")
	all[1].full = true
	if took := h.Publish(&Publication{Room: "r", Event: "1", Except: "0"}); took != 4 || plain.got() != "1" || all[3].got() != "1" {
		t.Errorf("%d took it: %q, %q", took, plain.got(), all[3].got())
	}
	if marks, outboxes := m.UnderWay(); marks != 1 || outboxes != 3 {
		t.Errorf("%d marks wait for %d", marks, outboxes)
	}
	for i := range all {
		if n := m.Histogram().Count; n != 0 {
			t.Errorf("counted before %d", i)
		}
		all[i].pass()
	}
	if n := m.Histogram().Count; n != 1 {
		t.Errorf("%d counted", n)
	}
	// Those that nobody carries are none.
	h.Publish(&Publication{Room: "nobody", Event: "2"})
	h.Probe(&Publication{Room: "r", Event: "3"})
	if marks, _ := m.UnderWay(); marks != 0 || m.Histogram().Count != 1 {
		t.Errorf("%d marks, %d counted", marks, m.Histogram().Count)
	}
}

// BenchmarkPublishMeasured is BenchmarkPublish with a meter.
func BenchmarkPublishMeasured(b *testing.B) {
	for _, n := range []int{1, 100, 10000} {
		b.Run("subs="+strconv.Itoa(n), func(b *testing.B) {
			h, k := New(), &fixed{}
			h.Measure(latency.New())
			boxes := make([]writer, n)
			for i := range boxes {
				_ = h.Join(h.Register("", strconv.Itoa(i), 1, k, &boxes[i]), "r")
			}
			p := &Publication{Room: "r", Event: "e"}
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				h.Publish(p)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/delivery")
		})
	}
}

// A writer is a receiver that has written everything at once.
type writer struct{ drain }

func (w *writer) DeliverMarked(frame []byte, k *latency.Mark) bool {
	k.Carry()
	k.Pass()
	return w.Deliver(frame)
}
