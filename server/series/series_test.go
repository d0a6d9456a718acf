package series

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/metric"
)

// The seconds keep a quarter of an hour and so many names, and no more.
func TestSecondsAreBounded(t *testing.T) {
	s, seconds := newStore(), Levels[0].Keep
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range seconds + 100 {
		readings := []metric.Reading{metric.Gauge("first", "", "", i)}
		if i == seconds+50 {
			readings = append(readings, metric.Counters("by", "", "", "of", []metric.Sample{metric.Of(7, "late")}))
		}
		s.add(start.Add(time.Duration(i)*time.Second), readings)
	}
	rows := read(t, s)
	if len(rows) != 1+seconds || rows[1][0] != "2026-01-01T00:01:40.000Z" {
		t.Fatalf("%d rows, the first %q", len(rows), rows[1])
	}
	if strings.Join(rows[0], " ") != "time by/late first" || rows[1][2] != "100" || rows[1][1] != "" && rows[1][1] != "0" {
		t.Errorf("%q %q", rows[0], rows[1])
	}
	for i, row := range rows[1:] {
		if row[2] != fmt.Sprint(100+i) || (row[1] == "7") != (100+i == seconds+50) {
			t.Fatalf("row %d is %q", i, row)
		}
	}
	for i := range 2 * maxColumns {
		s.add(start, []metric.Reading{metric.Gauge(fmt.Sprint("name", i), "", "", i)})
	}
	if n := len(read(t, s)[0]); n != 1+maxColumns {
		t.Errorf("%d columns", n)
	}
}

func read(t *testing.T, s *store) [][]string {
	t.Helper()
	text, err := s.csv()
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// A day passes: each level has what it is to have, a gauge its greatest of each step and a
// counter what it grew by a second, and the goroutine ends with Close.
func TestDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, told := time.Now(), 0
		second := func() int { return int(time.Since(began) / time.Second) }
		r := New(Config{
			Readings: func() []metric.Reading {
				n := second()
				return []metric.Reading{
					metric.Gauge("peak", "", "", map[bool]int{true: 100 + n/60, false: 1}[n%60 == 17]),
					metric.Counter("sent", "", "", 3*n),
					metric.Counters("by", "", "", "of", []metric.Sample{metric.Of(n/86_400, "rare")}),
				}
			},
			Told: func(time.Time, []metric.Reading) { told++ },
		})
		r.Start()
		time.Sleep(25*time.Hour + 30*time.Second)
		synctest.Wait()
		if told != 25*3600+31 {
			t.Errorf("%d seconds are told of", told)
		}
		for _, row := range []struct {
			step time.Duration
			want int
		}{{time.Second, 900}, {10 * time.Second, 1080}, {time.Minute, 1440}} {
			times, lines := r.store.lines(row.step, time.Time{}, []string{"peak", "sent", "by/rare", "unknown"})
			if len(times) != row.want {
				t.Fatalf("%v: %d steps, want %d", row.step, len(times), row.want)
			}
			for i := 1; i < len(times); i++ {
				if !times[i].Equal(times[i-1].Add(row.step)) || lines[1].Values[i] != 3 {
					t.Fatalf("%v: %v follows %v, with %v a second", row.step, times[i], times[i-1], lines[1].Values[i])
				}
			}
			if !math.IsNaN(lines[1].Values[0]) || !math.IsNaN(lines[3].Values[5]) {
				t.Errorf("%v: what cannot be known is told: %v %v", row.step, lines[1].Values[0], lines[3].Values[5])
			}
			if first := times[0].Sub(began.Add(25*time.Hour + 30*time.Second)); first < -row.step*time.Duration(row.want+1) {
				t.Errorf("%v: it begins %v ago", row.step, first)
			}
		}
		// Synthetic time begins at midnight, so steps are whole.
		times, lines := r.store.lines(time.Minute, time.Time{}, []string{"peak", "by/rare"})
		for i, v := range lines[0].Values {
			if v != 100+times[i].Sub(began).Minutes() {
				t.Fatalf("minute %d has %v for its greatest", i, v)
			}
		}
		if n := slices.Max(lines[1].Values[1:]); n != 1.0/60 {
			t.Errorf("what happened once in a minute is %v a second", n)
		}
		if times, _ := r.store.lines(time.Minute, time.Now().Add(-time.Hour), nil); len(times) != 59 { // the first has begun before that, and the last is not over
			t.Errorf("%d minutes of the last hour", len(times))
		}
		// What an archive of an incident has: each second of the last quarter of an hour.
		rows := read(t, r.store)
		if len(rows) != 1+900 || strings.Join(rows[0], " ") != "time by/rare peak sent" {
			t.Fatalf("%d rows of %q", len(rows), rows[0])
		}
		for i, row := range rows[1:] {
			at := time.Now().Truncate(time.Second).Add(time.Duration(i-899) * time.Second)
			if row[0] != at.UTC().Format("2006-01-02T15:04:05.000Z") || row[3] != fmt.Sprint(3*int(at.Sub(began).Seconds())) {
				t.Fatalf("row %d is %q, want that of %v", i, row, at)
			}
		}
		r.Close()
		before := told
		time.Sleep(time.Minute)
		if told != before {
			t.Error("it goes on after its end")
		}
	})
}

// A number that cannot be read keeps nobody from ending.
func TestCloseWhileStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck, first := make(chan struct{}), true
		r := New(Config{Readings: func() []metric.Reading {
			if !first {
				<-stuck
			}
			first = false
			return nil
		}})
		r.Start()
		time.Sleep(2 * time.Second)
		began := time.Now()
		if r.Close(); time.Since(began) != closePatience {
			t.Errorf("it took %v", time.Since(began))
		}
		close(stuck) // and its goroutine ends
	})
}

// A counter that seems to go back, and a gauge below nothing, are told as they are.
func TestOddNumbers(t *testing.T) {
	s := newStore()
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 25 {
		s.add(start.Add(time.Duration(i)*time.Second), []metric.Reading{metric.Gauge("below", "", "", -1), metric.Counter("back", "", "", 100-i)})
	}
	_, lines := s.lines(10*time.Second, time.Time{}, []string{"below", "back"})
	if !slices.Equal(lines[0].Values, []float64{-1, -1}) || lines[1].Values[1] != 0 {
		t.Errorf("%v", lines)
	}
	if Rate(5, 0) != 0 || Rate(5, 2*time.Second) != 2.5 {
		t.Error("rates are wrong")
	}
}

// All that is kept takes a few megabytes, whatever there is to count.
func TestMemory(t *testing.T) {
	readings := make([]metric.Reading, maxColumns+50)
	for i := range readings {
		readings[i] = metric.Gauge(fmt.Sprint("name", i), "", "", i)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s, now := newStore(), time.Now()
	for range 900 {
		s.add(now, readings)
		now = now.Add(time.Second)
	}
	for range 1500 { // each fills a step of the others
		s.add(now, readings)
		now = now.Add(time.Minute)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if used := int64(after.HeapAlloc) - int64(before.HeapAlloc); used > 8<<20 {
		t.Errorf("it takes %d bytes", used)
	}
	runtime.KeepAlive(s)
}

func TestHandler(t *testing.T) {
	r := New(Config{Usual: []string{"n", "sent"}})
	start := time.Unix(1_764_154_800, 0)
	for i := range 5 {
		r.store.add(start.Add(time.Duration(i)*time.Second), []metric.Reading{metric.Gauge("n", "", "", i), metric.Counter("sent", "", "", 2*i)})
	}
	ask := func(query string) (int, string) {
		w := httptest.NewRecorder()
		r.ServeHTTP(w, httptest.NewRequest("GET", "/api/series"+query, nil))
		return w.Code, w.Body.String()
	}
	for query, want := range map[string]string{
		"":                                `{"step":1,"times":[1764154800,1764154801,1764154802,1764154803,1764154804],"series":[{"name":"n","kind":"gauge","values":[0,1,2,3,4]},{"name":"sent","kind":"counter","values":[null,2,2,2,2]}]}`,
		"?step=1&from=1764154803&names=n": `{"step":1,"times":[1764154803,1764154804],"series":[{"name":"n","kind":"gauge","values":[3,4]}]}`,
		"?step=10":                        `{"step":10,"times":[],"series":[{"name":"n","kind":"gauge","values":[]},{"name":"sent","kind":"counter","values":[]}]}`,
		"?names=n&from=1764154803.001":    `{"step":1,"times":[1764154804],"series":[{"name":"n","kind":"gauge","values":[4]}]}`,
		"?names=none&from=1764154804":     `{"step":1,"times":[1764154804],"series":[{"name":"none","kind":"gauge","values":[null]}]}`,
		"?names=sent&from=1764154803.5":   `{"step":1,"times":[1764154804],"series":[{"name":"sent","kind":"counter","values":[2]}]}`,
	} {
		if status, body := ask(query); status != 200 || body != want {
			t.Errorf("%s: %d %s\nwant %s", query, status, body, want)
		}
	}
	for _, query := range []string{"?step=2", "?step=x", "?step=-1", "?from=x", "?from=NaN", "?from=1e300", "?names=" + strings.Repeat("a,", maxNames)} {
		status, body := ask(query)
		var e struct{ Error string }
		if err := json.Unmarshal([]byte(body), &e); status != 400 || err != nil || e.Error == "" {
			t.Errorf("%s: %d %s", query, status, body)
		}
	}
}
