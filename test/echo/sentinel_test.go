package echo

import (
	"fmt"
	"strings"
	"testing"

	"poosh/server/cluster/redistest"
	"poosh/test/process"
)

// Where the primary of Laravel's Redis is killed while events come, pages get all that was published at the new
// one since it is read, in order, and nothing twice, and stay.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	primary, replica, sentinels := redistest.Sentinel(t)
	s := &server{redis: primary, app: newApplication(t)}
	s.Process = process.Start(t, program, "ECHO_PORT", settings(primary, s.app.url, "ECHO_REDIS="+redistest.SentinelURL(sentinels))...)
	showLog(t, s.Process)
	p := open(t, s.URL(), "echo-2", "sio-4.8.1", 1)
	p.join("private", "news", ".said")
	p.hears(newBroadcaster(t, primary, prefix), "news", "private-news")

	sent := redistest.ThroughFailover(t, primary, replica, sentinels, 1, func(n int) (channel, payload string) {
		return prefix + "private-news", fmt.Sprintf(`{"event":"said","data":{"n":%d,"socket":null},"socket":null}`, n)
	})
	// As Laravel connects anew.
	newBroadcaster(t, replica, prefix).send(broadcast{Channels: []string{"private-news"}, Event: "said", Data: map[string]any{"n": -1}})
	var got []int
	for {
		line := p.next()
		n, ok := number(line, "news")
		if !ok {
			t.Fatalf("%s: %.200s, want an event", p.name, line)
		}
		if n < 0 {
			break
		}
		got = append(got, n)
	}
	if err := sent.Check(got); err != nil {
		t.Error(err)
	}
	p.tell([]any{"ping"})
	p.wants(`["pong"]`)
	for _, want := range []string{"messages are not read from Redis until it is back", "messages are read from Redis again"} {
		if !strings.Contains(s.Log(), want) {
			t.Errorf("the log does not say that %s", want)
		}
	}
}
