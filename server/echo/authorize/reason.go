package authorize

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"poosh/server/guard"
)

// A Reason says what became of a question: what it is counted as.
type Reason uint8

// The reasons.
const (
	allowed     Reason = iota
	denied             // a status 4xx, or a body that says no: false, null, ""
	redirected         // a status 3xx, which is not followed
	failed             // any other status that is not 2xx
	noJSON             // a good status and a body that is no JSON: a login page
	noAnswer           // JSON that is no answer of a framework's: a number, a list, a text
	noMember           // no channel_data.user_id for a presence channel
	large              // a body of more than MaxAnswer
	unreachable        // no connection, or it broke
	silent             // no answer in time
	badHeaders         // the page names headers that cannot be sent
	full               // too many questions wait
	crowded            // too many of one network or page
	late               // it waited too long for its turn
	left               // the page left meanwhile, or the server ends
	broken             // a bug of ours
	reasons
)

var names = [reasons]string{
	allowed:     "allowed",
	denied:      "denied",
	redirected:  "redirected",
	failed:      "failed",
	noJSON:      "no_json",
	noAnswer:    "no_answer",
	noMember:    "no_member",
	large:       "large",
	unreachable: "unreachable",
	silent:      "timeout",
	badHeaders:  "headers",
	full:        "queue_full",
	crowded:     "queue_share",
	late:        "late",
	left:        "left",
	broken:      "panic",
}

// String is the reason's name, of a closed list.
func (r Reason) String() string { return names[r] }

// status is what a page is told where the application's own status says nothing.
func (r Reason) status() int {
	switch r {
	case badHeaders:
		return http.StatusBadRequest
	case full, crowded, late:
		return http.StatusServiceUnavailable
	case broken:
		return http.StatusInternalServerError
	case unreachable, silent:
		return 0 // as laravel-echo-server has it
	}
	return http.StatusForbidden
}

// advice is what an operator is told of a reason that is no plain yes or no; empty for one
// that nobody needs to look at.
func (r Reason) advice() string {
	switch r {
	case redirected:
		return "the application redirects, which is not followed: ECHO_AUTH_URL is to be where it answers itself, and its login must answer 401 or 403 where JSON is asked for"
	case failed:
		return "the application fails: its own log says why"
	case noJSON:
		return "the application answers what is no JSON, such as a login page: whoever is not let in is to get 401 or 403"
	case noAnswer:
		return "the application answers JSON that is neither true nor an object"
	case noMember:
		return "the application names no channel_data.user_id for a presence channel: its callback in routes/channels.php is to return an array with who it is"
	case large:
		return "the application answers more than may be"
	case unreachable:
		return "the application cannot be reached"
	case silent:
		return "the application does not answer in time"
	case badHeaders:
		return "pages name headers that cannot be sent"
	case full, crowded, late:
		return "the application answers more slowly than it is asked"
	}
	return ""
}

// How often doubts are told to the log: soon after the first, and then not more than once a
// minute, since strangers may cause them.
const (
	doubtSoon  = time.Second
	doubtEvery = time.Minute
)

// doubts writes into the log of answers that an operator should look at, on a goroutine of
// its own.
type doubts struct {
	log *slog.Logger

	mu    sync.Mutex // guards what follows
	seen  [reasons]int
	last  [reasons]string // a channel, a status, an error
	timer *time.Timer     // fires tell; nil when nothing is to be told
	told  time.Time
}

// add notes a reason that has an advice. detail is a word for the log, no secret.
func (d *doubts) add(why Reason, detail string) {
	if why.advice() == "" {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seen[why]++
	d.last[why] = detail
	if d.timer == nil {
		d.timer = time.AfterFunc(max(doubtSoon, doubtEvery-time.Since(d.told)), func() {
			guard.Call(d.log, "telling of answers of the application", d.tell)
		})
	}
}

// tell writes a line for each reason that was noted since it was last called.
func (d *doubts) tell() {
	d.mu.Lock()
	seen, last := d.seen, d.last
	if d.timer != nil {
		d.timer.Stop()
	}
	d.seen, d.last, d.timer, d.told = [reasons]int{}, [reasons]string{}, nil, time.Now()
	d.mu.Unlock()
	for why, n := range seen {
		if n > 0 {
			d.log.Warn("echo: "+Reason(why).advice(), "reason", Reason(why).String(), "times", n, "last", last[why])
		}
	}
}
