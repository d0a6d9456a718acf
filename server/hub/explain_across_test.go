package hub

import (
	"fmt"
	"testing"
)

// accounts is a broker that says how many were in a room of each app, and counts who asks it why nobody was.
type accounts struct {
	answers
	there map[string]int // by app
	err   error
	asked []string
}

func (a *accounts) Explain(p *Publication) *Explanation {
	n := a.there[p.App]
	return &Explanation{Took: max(0, n), Nodes: 1, Uncounted: n < 0, Err: a.err, Parts: []Part{{App: p.App, Elsewhere: max(0, n)}}}
}

func (a *accounts) WhyNobody(p *Publication, e *Explanation) {
	a.asked = append(a.asked, p.App)
	e.Causes = []Cause{NobodyThere}
}

// Why nobody was there all processes are asked once, and only where nobody was, beyond bridges too.
func TestWhyNobodyIsAskedOnce(t *testing.T) {
	for name, row := range map[string]struct {
		there map[string]int
		err   error
		want  string
	}{
		"nobody":                     {nil, nil, "[x] [nobody_there]"},
		"somebody":                   {map[string]int{"x": 1}, nil, "[] []"},
		"somebody beyond a bridge":   {map[string]int{"z": 1}, nil, "[] []"},
		"nobody knows":               {map[string]int{"x": -1}, nil, "[] []"},
		"nobody knows of one beyond": {map[string]int{"y": -1}, nil, "[] []"},
		"it was not published":       {nil, ErrAway, "[] []"},
	} {
		a := &accounts{there: row.there, err: row.err}
		h := NewWith(a, nil)
		h.Bridge("x", "y", func(*Publication) bool { return true })
		h.Bridge("x", "z", func(*Publication) bool { return true })
		e := h.Explain(&Publication{App: "x", Room: "r"})
		if got := fmt.Sprint(a.asked, " ", e.Causes); got != row.want {
			t.Errorf("%s: %s, want %s", name, got, row.want)
		}
	}
}
