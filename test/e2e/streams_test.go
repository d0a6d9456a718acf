package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// streamsPage is a page of another origin without any library that has many streams. It
// opens one anew that its browser has given up, as it does where a connection ended in order
// within the head of an answer.
const streamsPage = `<!doctype html><title>streams</title><script>
let seen = []
setInterval(() => { if (seen.length) reports(seen.splice(0)) }, 50)
function open(id, url, last) {
  const source = new EventSource(last ? url + '&since=' + last : url)
  const tell = (saw, more) => seen.push({ id, saw, ...more })
  source.onopen = () => tell('state')
  source.onerror = () => {
    if (source.readyState !== EventSource.CLOSED) return
    tell('gone')
    setTimeout(open, 100, id, url, last)
  }
  for (const name of ['n', 'end']) source.addEventListener(name, e => {
    last = e.lastEventId
    const payload = JSON.parse(e.data)
    tell('event', { name, text: JSON.stringify([typeof payload === 'string' ? payload.split(' ')[0] : payload, last || 'none']) })
  })
  source.addEventListener('poosh:connected', e => {
    last = e.lastEventId
    const { session, recovered } = JSON.parse(e.data)
    tell('connect', { sid: session })
    tell('recovered', { text: JSON.stringify({ id: last, recovered }) })
  })
}
for (const [id, url] of {{list}}) open(id, url, '')
</script>`

// streams opens a page that has a stream of each address, which has a query, and returns its
// streams. Their reports are those of clients of socket.io that join with since.
func (d *driver) streams(urls []string) (all []*client) {
	d.t.Helper()
	var list [][2]string
	for _, url := range urls {
		c := d.register("EventSource", "in Chromium")
		all, list = append(all, c), append(list, [2]string{c.id, url})
	}
	text, err := json.Marshal(list)
	if err != nil {
		d.t.Fatal(err)
	}
	d.open(opening{Version: "none", Way: "streams", HTML: strings.Replace(streamsPage, "{{list}}", string(text), 1)})
	return all
}

// loops are shell scripts, as it were, that have curl show a stream, and begin again with the
// id of the last event when it ends. What they see is told as by a driver.
type loops struct {
	*driver
	running context.Context
	ending  sync.WaitGroup
}

// newLoops returns none, which end with the test.
func newLoops(t *testing.T) *loops {
	l := &loops{driver: newDriver(t)}
	var end func()
	l.running, end = context.WithCancel(context.Background())
	t.Cleanup(func() {
		end()
		l.ending.Wait()
	})
	return l
}

// curl begins a loop.
func (l *loops) curl(url string) *client {
	c := l.register("curl", "-N")
	l.ending.Go(func() {
		for last := ""; l.running.Err() == nil; {
			last = l.show(c, url, last)
			time.Sleep(10 * time.Millisecond)
		}
	})
	return c
}

// show runs curl until that ends, and returns the id to begin with again.
func (l *loops) show(c *client, url, last string) string {
	args := []string{"-sN"}
	if last != "" {
		args = append(args, "-H", "Last-Event-ID: "+last)
	}
	curl := exec.CommandContext(l.running, "curl", append(args, url)...)
	out, err := curl.StdoutPipe()
	if err == nil {
		err = curl.Start()
	}
	if err != nil {
		l.take(report{Saw: "fault", Text: "curl: " + err.Error() + ": apt-get install curl"})
		return last
	}
	l.take(report{ID: c.id, Saw: "state"})
	last = l.listen(c, out, last)
	_ = curl.Wait() // however it was cut off
	return last
}

// listen reads a stream as its standard says ("9.2.6 Interpreting an event stream"): of an
// event that is not whole nothing counts.
func (l *loops) listen(c *client, stream io.Reader, last string) string {
	var name, data string
	id := last
	for lines := bufio.NewReader(stream); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			return last
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			id = value
		case "event":
			name = value
		case "data":
			data += value
		}
		if line != "\n" {
			continue
		}
		if last = id; data != "" {
			l.tell(c, name, data, id)
		}
		name, data = "", ""
	}
}

// tell reports an event.
func (l *loops) tell(c *client, name, data, id string) {
	if name == "poosh:connected" {
		var told struct {
			Session   string `json:"session"`
			Recovered *bool  `json:"recovered"`
		}
		_ = json.Unmarshal([]byte(data), &told) // what is none has no session
		l.take(report{ID: c.id, Saw: "connect", SID: told.Session})
		text, _ := json.Marshal(map[string]any{"id": id, "recovered": told.Recovered})
		l.take(report{ID: c.id, Saw: "recovered", Text: string(text)})
		return
	}
	var payload any
	_ = json.Unmarshal([]byte(data), &payload)
	if text, ok := payload.(string); ok {
		payload, _, _ = strings.Cut(text, " ")
	}
	if id == "" {
		id = "none"
	}
	text, _ := json.Marshal([]any{payload, id})
	l.take(report{ID: c.id, Saw: "event", Name: name, Text: string(text)})
}
