package series

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"poosh/server/metric"
	"poosh/server/respond"
)

// maxNames is how many series one request may ask for.
const maxNames = 32

// An answer is what [Recorder.ServeHTTP] writes.
type answer struct {
	Step   int        `json:"step"`  // seconds
	Times  []float64  `json:"times"` // Unix seconds, to the millisecond
	Series []lineText `json:"series"`
}

type lineText struct {
	Name   string     `json:"name"`
	Kind   string     `json:"kind"`
	Values []*float64 `json:"values"` // one for each time; null for none
}

// ServeHTTP answers GET with series as JSON. The query may have step, of 1, 10 or 60
// seconds; from, in Unix seconds; and names, with commas between.
func (r *Recorder) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	q, err := r.query(req.URL.Query())
	if err != nil {
		respond.Go.Error(w, http.StatusBadRequest, err.Error())
		return
	}
	times, lines := r.store.lines(q.step, q.from, q.names)
	a := answer{Step: int(q.step / time.Second), Times: make([]float64, 0, len(times)), Series: make([]lineText, 0, len(lines))}
	for _, t := range times {
		a.Times = append(a.Times, float64(t.UnixMilli())/1000)
	}
	for _, l := range lines {
		a.Series = append(a.Series, l.text())
	}
	respond.Go.JSON(w, http.StatusOK, a)
}

func (l *Line) text() lineText {
	t := lineText{Name: l.Name, Kind: "gauge", Values: make([]*float64, len(l.Values))}
	if l.Kind == metric.IsCounter {
		t.Kind = "counter"
	}
	for i, v := range l.Values {
		if !math.IsNaN(v) {
			t.Values[i] = &l.Values[i]
		}
	}
	return t
}

// A query is what a request asks for.
type query struct {
	step  time.Duration
	from  time.Time
	names []string
}

func (r *Recorder) query(values url.Values) (query, error) {
	q := query{step: time.Second, names: r.cfg.Usual}
	if text := values.Get("step"); text != "" {
		n, err := strconv.Atoi(text)
		q.step = time.Duration(n) * time.Second
		if err != nil || !slices.ContainsFunc(Levels, func(l Level) bool { return l.Step == q.step }) {
			return q, errors.New("step: want 1, 10 or 60, in seconds")
		}
	}
	if text := values.Get("from"); text != "" {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsNaN(n) || math.Abs(n) > 1e11 {
			return q, errors.New("from: want Unix seconds")
		}
		q.from = time.UnixMilli(int64(math.Round(n * 1000)))
	}
	if text := values.Get("names"); text != "" {
		q.names = strings.Split(text, ",")
		if len(q.names) > maxNames {
			return q, fmt.Errorf("names: want %d at the most", maxNames)
		}
	}
	return q, nil
}
