package commandline

import (
	"fmt"
	"runtime"
	"strings"

	"poosh/server/loadtest"
)

// barWidth is how many signs of a terminal's line the bar has.
const barWidth = 20

// narrow is how many signs a terminal's line has at the least: of a longer one the rest
// would stay there.
const narrow = 80

// bar shows how far a test is, on one line.
func bar(p loadtest.Progress) string {
	full := int(p.Share * barWidth)
	text := fmt.Sprintf("[%s%s] %3.0f %% %s, %d/%d clients, %d deliveries",
		strings.Repeat("#", full), strings.Repeat("-", barWidth-full), 100*p.Share, p.Stage, p.Connected, p.Wanted, p.Delivered)
	return text[:min(len(text), narrow-1)]
}

// protocolNames is what clients speak, as people call it.
var protocolNames = map[string]string{
	string(loadtest.EIO4): "socket.io (Engine.IO 4)", string(loadtest.EIO3): "socket.io (Engine.IO 3)", string(loadtest.Pusher): "Pusher",
	string(loadtest.Echo): "Laravel Echo (Engine.IO 4)",
}

// benchReport prints a report for a person.
func (l *line) benchReport(r *loadtest.Report) error {
	s := styleOf(l.Stdout)
	var b strings.Builder
	row := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%s %s\n", s.bold(fmt.Sprintf("%-13s", name)), fmt.Sprintf(format, args...))
	}
	row("server", "%s, %s over %s", printable(r.Server), protocolNames[r.Protocol], r.Transport)
	c, e, d := r.Connections, r.Events, r.Deliveries
	row("clients", "%d connected of %d, in %.1f s: %.0f a second", c.Connected, c.Wanted, c.Seconds, c.PerSecond)
	if c.Time != nil {
		row("", "each took %s", quantiles(c.Time))
	}
	if r.Publish != loadtest.ByOthers {
		pace := "flat out"
		if r.Rate > 0 {
			pace = fmt.Sprintf("%g a second were asked for", r.Rate)
		}
		row("events", "%d taken in %.1f s: %.1f a second; %s", e.Accepted, e.Seconds, e.PerSecond, pace)
		row("", "%d refused, %d without an answer, %d not sent, %d late", e.Refused, e.Unanswered, e.Unsent, e.Late)
	}
	row("deliveries", "%d: %.0f a second", d.Delivered, d.PerSecond)
	if r.Publish != loadtest.ByOthers {
		row("", "%d lost, %d missed by who had gone, %d doubled, %d out of order, %d damaged", d.Lost, d.Missed, d.Doubled, d.OutOfOrder, d.Damaged)
	}
	if r.Latency != nil {
		from := "it was due"
		if r.Rate == 0 {
			from = "it was sent"
		}
		row("latency", "%s", quantiles(r.Latency))
		row("", "of each delivery, from when %s", from)
	}
	for i, f := range r.Errors {
		row([]string{"errors", ""}[min(i, 1)], "%d x %s", f.Count, s.red(printable(f.Kind)))
	}
	if r.OwnCores > 0 {
		row("this program", "%.2f processors of %d", r.OwnCores, runtime.NumCPU())
	}
	if r.Interrupted {
		row("interrupted", "these are the numbers so far")
	}
	return l.print(strings.TrimSuffix(b.String(), "\n"))
}

func quantiles(q *loadtest.Quantiles) string {
	return fmt.Sprintf("%.1f ms (p50), %.1f (p90), %.1f (p99), %.1f (p99.9), %.1f (most)", q.P50, q.P90, q.P99, q.P999, q.Max)
}
