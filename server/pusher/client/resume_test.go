package client_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"poosh/server/loop"
	"poosh/server/pusher"
	"poosh/server/pusher/app"
	"poosh/server/pusher/protocol"
	"poosh/server/pusher/pushertest"
	"poosh/server/rate"
)

// kept is the test app with history.
func kept() pusher.Config {
	a := pushertest.App()
	a.History, a.HistoryBytes, a.HistoryEvents = app.Duration(time.Minute), 1<<20, 100
	return pusher.Config{Apps: []pusher.App{a}}
}

// A v2 is a client of Sockudo's version.
type v2 struct{ *pushertest.Peer }

func dialV2(s *pushertest.Site) v2 {
	s.T.Helper()
	p := v2{s.Open("/app/"+pushertest.Key+"?protocol=2", nil)}
	var data struct {
		SocketID string `json:"socket_id"`
	}
	f := p.Read()
	if f.Event != "sockudo:connection_established" || json.Unmarshal([]byte(f.Text()), &data) != nil || !protocol.ValidSocketID(data.SocketID) {
		s.T.Fatalf("first frame %s", f)
	}
	p.SocketID = data.SocketID
	return p
}

// A placed frame is one with its place.
type placed struct {
	pushertest.Frame
	MessageID string `json:"message_id"`
	StreamID  string `json:"stream_id"`
	Serial    uint64 `json:"serial"`
}

func (p v2) next() (f placed) {
	p.T.Helper()
	f.Frame = p.Read()
	if err := json.Unmarshal([]byte(f.Raw), &f); err != nil {
		p.T.Fatal(err)
	}
	return f
}

// join subscribes and returns the place that the confirmation tells.
func (p v2) join(channel, more string) placed {
	p.T.Helper()
	member := ""
	if strings.HasPrefix(channel, "presence-") {
		member = `{"user_id":"1"}`
	}
	p.SubscribeWith(channel, member, more)
	f := p.next()
	if f.Event != "sockudo_internal:subscription_succeeded" || f.Channel != channel {
		p.T.Fatalf("not subscribed: %s", f)
	}
	return f
}

// event takes an event of a channel.
func (p v2) event(data string) placed {
	p.T.Helper()
	f := p.next()
	if f.Event != "e" || f.Text() != data || f.MessageID == "" || f.Serial == 0 || !strings.HasPrefix(f.StreamID, f.MessageID[:13]) {
		p.T.Fatalf("want %s with a place: %s", data, f)
	}
	return f
}

// told takes a frame of the protocol and returns its data.
func (p v2) told(event, channel string) string {
	p.T.Helper()
	f := p.next()
	if f.Event != event || f.Channel != channel {
		p.T.Fatalf("want %s of %q: %s", event, channel, f)
	}
	if len(f.Data) > 0 && f.Data[0] != '"' {
		return string(f.Data)
	}
	return f.Text()
}

func resumeAt(f placed, socketID string) string {
	return fmt.Sprintf(`{"stream_id":%q,"serial":%d,"socket_id":%q}`, f.StreamID, f.Serial, socketID)
}

func TestProtocol2(t *testing.T) {
	s := pushertest.New(t, kept())
	old, p := s.Dial(), dialV2(s)
	old.Join("news")
	ack := p.join("news", "")
	if ack.Serial != 0 || ack.StreamID == "" || ack.Text() != "{}" {
		t.Errorf("confirmed with %s", ack)
	}
	s.Trigger("news", "e", "1")
	s.Trigger("news", "e", "2")
	old.Expect(`{"event":"e","channel":"news","data":"1"}`, `{"event":"e","channel":"news","data":"2"}`)
	first, second := p.event("1"), p.event("2")
	if second.Serial <= first.Serial || first.StreamID != ack.StreamID || first.MessageID == second.MessageID {
		t.Errorf("%s\n%s\n%s", ack, first, second)
	}
	p.Send(`{"event":"sockudo:ping","data":{}}`)
	p.Expect(`{"event":"sockudo:pong","data":"{}"}`)
	p.Send(`{"event":"sockudo:subscribe","data":{"channel":"private-x","auth":"no"}}`)
	if f := p.Read(); f.Event != "sockudo:error" {
		t.Errorf("a wrong signature is answered %s", f)
	}
	if f := p.Read(); f.Event != "sockudo:subscription_error" {
		t.Errorf("a wrong signature is answered %s", f)
	}
	p.Send(`{"event":"sockudo:unsubscribe","data":{"channel":"news"}}`)
	p.Send(`{"event":"sockudo:ping","data":{}}`)
	p.Expect(`{"event":"sockudo:pong","data":"{}"}`)
	old.Quiet()
}

// TestProtocol2WithoutHistory: an app that keeps nothing has message ids, and no places.
func TestProtocol2WithoutHistory(t *testing.T) {
	s := pushertest.New(t, pusher.Config{})
	p := dialV2(s)
	if ack := p.join("news", ""); strings.Contains(ack.Raw, "serial") {
		t.Errorf("confirmed with %s", ack)
	}
	s.Trigger("news", "e", "1")
	if f := p.next(); f.MessageID == "" || f.StreamID != "" || strings.Contains(f.Raw, "serial") {
		t.Errorf("%s", f)
	}
	p.Send(`{"event":"sockudo:resume","data":{"channel_positions":{"news":{"stream_id":"x","serial":1}}}}`)
	if text := p.told("sockudo:error", ""); !strings.HasPrefix(text, `{"code":4301,`) {
		t.Error(text)
	}
	p.Send(`{"event":"sockudo:subscribe","data":{"channel":"other","rewind":2}}`)
	if text := p.told("sockudo:error", ""); !strings.HasPrefix(text, `{"code":4000,`) {
		t.Error(text)
	}
	// Who comes back with a position is told, with its subscription: it kept it from before a
	// restart, or from another node.
	p.join("cache-back", `"resume":{"stream_id":"x","serial":1}`)
	p.told("sockudo:cache_miss", "cache-back")
	if text := p.told("sockudo:resume_failed", "cache-back"); text != `{"code":"continuity_unverifiable","reason":"history_disabled"}` {
		t.Error(text)
	}
	if text := p.told("sockudo:resume_success", ""); text != `{"recovered":[],"failed":[{"channel":"cache-back","code":"continuity_unverifiable","reason":"history_disabled"}]}` {
		t.Error(text)
	}
}

// TestResume: a client that was away gets what it missed, by both ways of asking.
func TestResume(t *testing.T) {
	for _, inside := range []bool{true, false} {
		t.Run(fmt.Sprintf("with the subscription %v", inside), func(t *testing.T) {
			s := pushertest.New(t, kept())
			p := dialV2(s)
			p.join("private-a", "")
			s.Trigger("private-a", "e", "1")
			at, was := p.event("1"), p.SocketID
			_ = p.WS.Close()
			s.Trigger("private-a", "e", "2")
			s.Trigger("b", "e", "of another channel")
			s.Trigger("private-a", "e", "3")
			status, text := s.Call("POST", "/events", nil, `{"name":"e","channel":"private-a","data":"its own","socket_id":"`+was+`"}`)
			if status != 200 {
				t.Fatal(text)
			}
			// Nor is what another connection of its excepts, that was cut off before it had this.
			p = dialV2(s)
			_ = p.WS.Close()
			if status, text := s.Call("POST", "/events", nil, `{"name":"e","channel":"private-a","data":"its own, too","socket_id":"`+p.SocketID+`"}`); status != 200 {
				t.Fatal(text)
			}
			place := strings.Replace(resumeAt(at, was), `"`+was+`"`, `["`+was+`","`+p.SocketID+`"]`, 1)
			p = dialV2(s)
			if inside {
				p.join("private-a", `"resume":`+place)
			} else {
				p.join("private-a", "")
				p.Send(`{"event":"sockudo:resume","data":` + pushertest.Quoted(`{"channel_positions":{"private-a":`+place+`}}`) + `}`)
			}
			p.event("2")
			last := p.event("3")
			want := fmt.Sprintf(`{"recovered":[{"channel":"private-a","source":"hot","replayed":2,"position":{"stream_id":%q,"serial":%d}}],"failed":[]}`, last.StreamID, last.Serial+2)
			if got := p.told("sockudo:resume_success", ""); got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
			// Asked again, nothing is given twice.
			p.Send(`{"event":"sockudo:resume","data":{"channel_positions":{"private-a":` + resumeAt(at, was) + `}}}`)
			if got := p.told("sockudo:resume_success", ""); !strings.Contains(got, `"replayed":0`) {
				t.Error(got)
			}
			s.Trigger("private-a", "e", "4")
			p.event("4")
		})
	}
}

// TestResumeNobodysBusiness: who has not subscribed gets nothing, and neither does a client of
// Pusher's versions.
func TestResumeNobodysBusiness(t *testing.T) {
	s := pushertest.New(t, kept())
	mine := dialV2(s)
	ack := mine.join("private-a", "")
	s.Trigger("private-a", "e", "secret")
	s.Trigger("presence-a", "e", "secret")
	s.Trigger("private-encrypted-a", "e", "secret")
	p := dialV2(s)
	for _, channel := range []string{"private-a", "presence-a", "private-encrypted-a", "unknown"} {
		p.Send(`{"event":"sockudo:resume","data":{"channel_positions":{"` + channel + `":` + resumeAt(ack, "") + `}}}`)
		if got := p.told("sockudo:resume_failed", channel); !strings.Contains(got, `"code":"unauthorized"`) {
			t.Errorf("%s: %s", channel, got)
		}
		if got := p.told("sockudo:resume_success", ""); !strings.HasPrefix(got, `{"recovered":[],"failed":[{"channel":"`+channel+`"`) {
			t.Error(got)
		}
		// Nor with a subscription that nobody has signed.
		p.Send(`{"event":"sockudo:subscribe","data":{"channel":"` + channel + `x","auth":"x","resume":` + resumeAt(ack, "") + `}}`)
		if channel != "unknown" {
			p.told("sockudo:error", "")
			p.told("sockudo:subscription_error", channel+"x")
		}
	}
	old := s.Dial()
	for _, event := range []string{"pusher:resume", "sockudo:resume"} {
		old.Send(`{"event":"` + event + `","data":{"channel_positions":{"private-a":` + resumeAt(ack, "") + `}}}`)
		if f := old.Read(); f.Event != "pusher:error" || strings.Contains(f.Raw, "secret") {
			t.Errorf("%s is answered %s", event, f)
		}
	}
	old.SubscribeWith("private-a", "", `"resume":`+resumeAt(ack, "")+`,"rewind":"no such"`)
	old.Expect(`{"event":"pusher_internal:subscription_succeeded","channel":"private-a","data":"{}"}`)
	old.Quiet()
}

// TestNotResumed has positions from where nobody can be given everything.
func TestNotResumed(t *testing.T) {
	cfg := kept()
	cfg.Apps[0].HistoryEvents = 3
	s := pushertest.New(t, cfg)
	p := dialV2(s)
	ack := p.join("c", "")
	for n := range 6 {
		s.Trigger("c", "e", fmt.Sprint(n))
		p.event(fmt.Sprint(n))
	}
	ahead, other := ack, ack
	ahead.Serial, other.StreamID = 7, protocol.StreamID(1)
	nothing := placed{}
	for _, tt := range []struct {
		at   string
		code string
	}{
		{resumeAt(ack, ""), "position_expired"},
		{resumeAt(ahead, ""), "continuity_unverifiable"},
		{resumeAt(other, ""), "stream_reset"},
		{resumeAt(nothing, ""), "stream_reset"},
		{`"x"`, "stream_reset"}, {`{"stream_id":7}`, "stream_reset"}, {`{"serial":-1}`, "stream_reset"}, {`7`, "stream_reset"},
	} {
		q := dialV2(s)
		q.join("c", `"resume":`+tt.at)
		if got := q.told("sockudo:resume_failed", "c"); !strings.HasPrefix(got, `{"code":"`+tt.code+`"`) {
			t.Errorf("%s: %s", tt.at, got)
		}
		q.told("sockudo:resume_success", "")
	}
	q := dialV2(s)
	q.join("c", `"resume":`+resumeAt(other, ""))
	if got, want := q.told("sockudo:resume_failed", "c"), `"expected_stream_id":"`+other.StreamID+`","current_stream_id":"`+ack.StreamID+`"`; !strings.Contains(got, want) {
		t.Errorf("%s, want %s in it", got, want)
	}
	for bad, code := range map[string]int{
		`{}`: 4302, `{"channel_positions":{}}`: 4302, `{"channel_positions":7}`: 4302, `{"channel_positions":null}`: 4302,
		`{"channel_serials":{"c":1}}`: 4302, `{"Channel_Positions":{"c":{}}}`: 4302,
		`"{"`: 4000, `7`: 4000, `null`: 4000, `[]`: 4000,
		`{"channel_positions":{` + strings.Repeat(`"x":{},`, 500) + manyPositions(s.App().Conf().MaxChannels+1) + `}}`: protocol.CodeFull,
	} {
		p.Send(`{"event":"sockudo:resume","data":` + bad + `}`)
		if got := p.told("sockudo:error", ""); !strings.HasPrefix(got, fmt.Sprintf(`{"code":%d,`, code)) {
			t.Errorf("%.60s: %s, want code %d", bad, got, code)
		}
	}
	// Of all that, what was asked of a channel was counted, and nothing was given.
	if counts := s.Dialect.Stats().Counts; counts["recovery not_recovered"] != 9 || counts["recovery recovered"] != 0 || counts["replayed"] != 0 {
		t.Errorf("counted are %v", counts)
	}
}

// manyPositions are positions in so many channels.
func manyPositions(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%x":{}`, i)
	}
	return b.String()[1:]
}

// TestFramesOfSockudo has both sides of a connection word by word, as Sockudo has them but for
// what docs/history.md names. What is in angle brackets is found out the first time.
func TestFramesOfSockudo(t *testing.T) {
	s := pushertest.New(t, kept())
	known := make(map[string]string)
	var p *pushertest.Peer
	fill := func(text string) string {
		for name, value := range known {
			text = strings.ReplaceAll(text, "<"+name+">", value)
		}
		return text
	}
	unknown := regexp.MustCompile(`<([a-z0-9]+)>`)
	hears := func(want string) {
		t.Helper()
		var got bytes.Buffer
		if f := p.Read(); json.Compact(&got, []byte(f.Raw)) != nil {
			t.Fatalf("%s", f)
		}
		want = fill(want)
		names := unknown.FindAllStringSubmatch(want, -1)
		pattern := unknown.ReplaceAllString(regexp.QuoteMeta(want), `([0-9a-f.-]+)`)
		found := regexp.MustCompile("^" + pattern + "$").FindStringSubmatch(got.String())
		if found == nil {
			t.Fatalf("received\n%s, want\n%s", got.String(), want)
		}
		for i, name := range names {
			known[name[1]] = found[1+i]
		}
	}
	failed := func(channel, data string) {
		t.Helper()
		hears(`{"event":"sockudo:resume_failed","channel":"` + channel + `","data":` + pushertest.Quoted(data) + `}`)
		all := `{"recovered":[],"failed":[{"channel":"` + channel + `",` + data[1:] + `]}`
		hears(`{"event":"sockudo:resume_success","data":` + pushertest.Quoted(all) + `}`)
	}
	p = s.Open("/app/"+pushertest.Key+"?protocol=2", nil)
	hears(`{"event":"sockudo:connection_established","data":"{\"socket_id\":\"<socket>\",\"activity_timeout\":<n>}"}`)
	p.Send(`{"event":"sockudo:subscribe","data":{"channel":"orders"}}`)
	hears(`{"event":"sockudo_internal:subscription_succeeded","channel":"orders","data":"{}","stream_id":"<stream>","serial":0}`)
	s.Trigger("orders", "order.created", `{"id":1}`)
	hears(`{"event":"order.created","channel":"orders","data":"{\"id\":1}","message_id":"<first>","stream_id":"<stream>","serial":1}`)
	s.Trigger("orders", "order.created", `2`)
	hears(`{"event":"order.created","channel":"orders","data":"2","message_id":"<second>","stream_id":"<stream>","serial":2}`)
	resume := func(positions string) {
		t.Helper()
		p.Send(`{"event":"sockudo:resume","data":` + pushertest.Quoted(`{"channel_positions":`+fill(positions)+`}`) + `}`)
	}
	for positions, data := range map[string]string{
		`{"orders":{"stream_id":"nope","serial":1,"last_message_id":"<first>"}}`: `{"code":"stream_reset","reason":"stream_id_mismatch","current_stream_id":"<stream>","newest_available_serial":2}`,
		`{"orders":{"stream_id":"<stream>","serial":9}}`:                         `{"code":"continuity_unverifiable","reason":"position_ahead_of_stream","current_stream_id":"<stream>","newest_available_serial":2}`,
	} {
		resume(positions)
		failed("orders", fill(data))
	}
	resume(`{"private-x":{"stream_id":"<stream>","serial":0}}`)
	failed("private-x", `{"code":"unauthorized","reason":"not_subscribed"}`)
	_ = p.WS.Close()
	p = s.Open("/app/"+pushertest.Key+"?protocol=2", nil)
	hears(`{"event":"sockudo:connection_established","data":"{\"socket_id\":\"<another>\",\"activity_timeout\":<n>}"}`)
	p.Send(`{"event":"sockudo:subscribe","data":{"channel":"orders"}}`)
	hears(`{"event":"sockudo_internal:subscription_succeeded","channel":"orders","data":"{}","stream_id":"<stream>","serial":2}`)
	resume(`{"orders":{"stream_id":"<stream>","serial":1,"last_message_id":"<first>"}}`)
	hears(`{"event":"order.created","channel":"orders","data":"2","message_id":"<second>","stream_id":"<stream>","serial":2}`)
	hears(`{"event":"sockudo:resume_success","data":` + pushertest.Quoted(fill(`{"recovered":[{"channel":"orders","source":"hot","replayed":1,"position":{"stream_id":"<stream>","serial":2}}],"failed":[]}`)) + `}`)
	p.Send(`{"event":"sockudo:unsubscribe","data":{"channel":"orders"}}`)
	p.Send(`{"event":"sockudo:subscribe","data":{"channel":"orders","rewind":1}}`)
	hears(`{"event":"sockudo_internal:subscription_succeeded","channel":"orders","data":"{}","stream_id":"<stream>","serial":2}`)
	hears(`{"event":"order.created","channel":"orders","data":"2","message_id":"<second>","stream_id":"<stream>","serial":2}`)
	hears(`{"event":"sockudo:rewind_complete","channel":"orders","data":{"historical_count":1,"live_count":0,"complete":false,"truncated_by_limit":true,"truncated_by_retention":false}}`)
	// A resume that recovered, and a rewind, with an event each.
	if counts := s.Dialect.Stats().Counts; counts["recovery recovered"] != 2 || counts["recovery not_recovered"] != 3 || counts["replayed"] != 2 {
		t.Errorf("counted are %v", counts)
	}
}

// A reader of channels to which many publish knows where it is in each, and what it saw.
type reader struct {
	p    v2
	at   map[string]placed // of the last event, or confirmation
	seen map[string][]string
}

// dial connects anew, and goes on in each channel where it was.
func (r *reader) dial(s *pushertest.Site, channels []string) {
	if r.p.Peer != nil {
		_ = r.p.WS.Close()
	}
	r.p = dialV2(s)
	for _, channel := range channels {
		more := ""
		if at, was := r.at[channel]; was {
			more = `"resume":` + resumeAt(at, "")
		}
		r.p.SubscribeWith(channel, "", more)
	}
}

func (r *reader) read() {
	r.p.T.Helper()
	switch f := r.p.next(); f.Event {
	case "e":
		if was := r.at[f.Channel]; f.Serial <= was.Serial || f.StreamID != was.StreamID {
			r.p.T.Fatalf("behind %s\ncomes %s", was, f)
		}
		r.at[f.Channel], r.seen[f.Channel] = f, append(r.seen[f.Channel], f.Text())
	case "sockudo_internal:subscription_succeeded":
		if _, was := r.at[f.Channel]; !was {
			r.at[f.Channel] = f
		}
	case "sockudo:resume_success":
	default:
		r.p.T.Fatalf("received %s", f)
	}
}

// TestResumeWhileManyPublish has readers of two channels that are cut off again and again while
// publishers call the API at once, with batches and with events for several channels: what each
// reader sees of a channel is all of it, in the order of its places, and what one publisher sent
// is in the order in which it did.
func TestResumeWhileManyPublish(t *testing.T) {
	const publishers, rounds, readers = 4, 30, 3
	cfg := kept()
	cfg.Apps[0].HistoryEvents = 10_000
	s := pushertest.New(t, cfg)
	channels := []string{"a", "private-b"}
	list := make([]reader, readers)
	for i := range list {
		list[i] = reader{at: make(map[string]placed), seen: make(map[string][]string)}
		list[i].dial(s, channels)
		for len(list[i].at) < len(channels) {
			list[i].read()
		}
	}
	var publishing sync.WaitGroup
	defer publishing.Wait()
	for who := range publishers {
		publishing.Go(func() { // ends with its events
			for n := range rounds {
				path, body := "/events", fmt.Sprintf(`{"name":"e","channels":["a","private-b"],"data":"%d %d"}`, who, 2*n)
				if n%2 > 0 {
					path, body = "/batch_events", fmt.Sprintf(`{"batch":[{"name":"e","channel":"a","data":"%d %d"},{"name":"e","channel":"private-b","data":"%d %d"},{"name":"e","channel":"a","data":"%d %d"},{"name":"e","channel":"c","data":""}]}`,
						who, 2*n, who, 2*n, who, 2*n+1)
				}
				if status, text := s.Call("POST", path, nil, body); status != 200 {
					t.Errorf("%s: %d %s", path, status, text)
				}
			}
		})
	}
	all := map[string]int{"a": publishers * rounds / 2 * 3, "private-b": publishers * rounds}
	for left := readers; left > 0; {
		left = 0
		for i := range list {
			r := &list[i]
			open := func() bool { return len(r.seen["a"]) < all["a"] || len(r.seen["private-b"]) < all["private-b"] }
			for n := 0; n < 20+5*i && open(); n++ {
				r.read()
			}
			if open() {
				left++
				r.dial(s, channels)
			}
		}
	}
	for i, r := range list {
		for _, channel := range channels {
			var want, got [publishers][]string
			for who := range publishers {
				for n := range rounds {
					want[who] = append(want[who], fmt.Sprint(who, " ", 2*n))
					if channel == "a" && n%2 > 0 {
						want[who] = append(want[who], fmt.Sprint(who, " ", 2*n+1))
					}
				}
			}
			for _, text := range r.seen[channel] {
				got[text[0]-'0'] = append(got[text[0]-'0'], text)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("reader %d of %s saw %v", i, channel, got)
			}
		}
	}
}

// TestRewind asks for what was before the subscription.
func TestRewind(t *testing.T) {
	pushertest.Alone(t, "what was published before anybody was in a channel here is not known here")
	cfg := kept()
	cfg.Apps[0].HistoryEvents = 4
	s := pushertest.New(t, cfg)
	for n := range 3 {
		s.Trigger("few", "e", fmt.Sprint(n))
	}
	for n := range 6 {
		s.Trigger("many", "e", fmt.Sprint(n))
	}
	flags := func(complete, limit, retention bool, n int) string {
		return fmt.Sprintf(`{"historical_count":%d,"live_count":0,"complete":%v,"truncated_by_limit":%v,"truncated_by_retention":%v}`, n, complete, limit, retention)
	}
	for _, tt := range []struct {
		channel, rewind string
		from, to        int
		flags           string
	}{
		{"few", `2`, 1, 3, flags(false, true, false, 2)},
		{"few", `"2"`, 1, 3, flags(false, true, false, 2)},
		{"few", `{"count":3}`, 0, 3, flags(true, false, false, 3)},
		{"few", `{"count":9,"seconds":1}`, 0, 3, flags(true, false, false, 3)},
		{"few", `{"seconds":3600}`, 0, 3, flags(true, false, false, 3)},
		{"few", `{"duration_seconds":3600}`, 0, 3, flags(true, false, false, 3)},
		{"many", `4`, 2, 6, flags(true, false, false, 4)},
		{"many", `5`, 2, 6, flags(false, false, true, 4)},
		{"many", `{"seconds":3600}`, 2, 6, flags(false, false, true, 4)},
		{"none", `4`, 0, 0, flags(true, false, false, 0)},
	} {
		p := dialV2(s)
		p.join(tt.channel, `"rewind":`+tt.rewind)
		for n := tt.from; n < tt.to; n++ {
			p.event(fmt.Sprint(n))
		}
		if got := p.told("sockudo:rewind_complete", tt.channel); got != tt.flags {
			t.Errorf("%s by %s: %s, want %s", tt.channel, tt.rewind, got, tt.flags)
		}
	}
	p := dialV2(s)
	for _, bad := range []string{`0`, `-1`, `true`, `1.5`, `"x"`, `{}`, `{"count":0}`, `{"seconds":-1}`, `[]`} {
		p.SubscribeWith("few", "", `"rewind":`+bad)
		if got := p.told("sockudo:error", ""); !strings.HasPrefix(got, `{"code":4000,`) {
			t.Errorf("%s: %s", bad, got)
		}
	}
}

// TestResumeCached: the last event is told to each who comes, for it may be that it had not come
// when the connection was lost; but not behind what was missed, if it is among that.
func TestResumeCached(t *testing.T) {
	s := pushertest.New(t, kept())
	s.Trigger("cache-a", "e", "1")
	p := dialV2(s)
	at := p.join("cache-a", "")
	if f := p.next(); f.Text() != "1" || f.Serial != 0 {
		t.Errorf("cached: %s", f)
	}
	_ = p.WS.Close()
	p = dialV2(s)
	p.join("cache-a", `"resume":`+resumeAt(at, ""))
	if f := p.next(); f.Text() != "1" || f.Serial != 0 {
		t.Errorf("cached: %s", f)
	}
	p.told("sockudo:resume_success", "")
	_ = p.WS.Close()
	s.Trigger("cache-a", "e", "2")
	p = dialV2(s)
	p.join("cache-a", `"resume":`+resumeAt(at, ""))
	p.event("2")
	p.told("sockudo:resume_success", "")
	q := dialV2(s)
	q.join("cache-none", `"resume":`+resumeAt(at, ""))
	q.told("sockudo:cache_miss", "cache-none")
	q.told("sockudo:resume_success", "")
}

// TestResumeCachedBesideClients: what clients sent is not what is cached.
func TestResumeCachedBesideClients(t *testing.T) {
	cfg := kept()
	cfg.Apps[0].ClientEvents = true
	s := pushertest.New(t, cfg)
	s.Trigger("private-cache-a", "e", "1")
	p, other := dialV2(s), s.Dial()
	at := p.join("private-cache-a", "")
	p.next()
	_ = p.WS.Close()
	other.Subscribe("private-cache-a", "")
	other.Read()
	other.Read()
	other.Send(`{"event":"client-x","channel":"private-cache-a","data":"its"}`)
	other.Quiet()
	p = dialV2(s)
	p.join("private-cache-a", `"resume":`+resumeAt(at, ""))
	if f := p.next(); f.Event != "client-x" || f.Serial == 0 {
		t.Errorf("missed: %s", f)
	}
	if f := p.next(); f.Event != "e" || f.Text() != "1" || f.Serial != 0 {
		t.Errorf("cached: %s", f)
	}
	p.told("sockudo:resume_success", "")
}

// TestResumeAnywhere cuts a client off again and again while events flow: it sees each of them
// once and in order.
func TestResumeAnywhere(t *testing.T) {
	cfg := kept()
	cfg.Apps[0].HistoryEvents = 1000
	s := pushertest.New(t, cfg)
	const all = 300
	p := dialV2(s)
	at := p.join("presence-x", "")
	var flow sync.WaitGroup
	flow.Go(func() { // ends with its events
		for n := range all {
			s.App().Publish("presence-x", "e", []byte(fmt.Sprintf(`"%d"`, n)), "")
			s.App().Publish("y", "e", []byte(`"other"`), "")
			if n%10 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
	})
	defer flow.Wait()
	for n := 0; n < all; {
		for range 7 { // what it reads before it is cut off
			f := p.next()
			if f.Event != "e" {
				continue
			}
			if f.Text() != fmt.Sprint(n) {
				t.Fatalf("want %d: %s", n, f)
			}
			at = f
			if n++; n == all {
				return
			}
		}
		_ = p.WS.Close()
		p = dialV2(s)
		p.join("presence-x", `"resume":`+resumeAt(at, ""))
	}
}

// many is a site whose clients can take 64 KiB, with events of a channel whose payloads fit in
// there, and their frames do not.
func many(t *testing.T) *pushertest.Site {
	cfg := kept()
	cfg.Apps[0].HistoryEvents = 1000
	s := pushertest.NewOn(t, cfg, slog.New(slog.DiscardHandler), loop.Config{Outbox: 64 << 10})
	for n := range 400 {
		s.App().Publish("many", "e", []byte(fmt.Sprintf(`"%d"`, n)), "")
	}
	s.Trigger("few", "e", "1")
	return s
}

// TestResumesThatDoNotFitAreNotForFree: who asks on and on for more than it can take is told so
// without a look after a while, in each way of asking, and for what would fit too.
func TestResumesThatDoNotFitAreNotForFree(t *testing.T) {
	pushertest.Alone(t, "what was published before anybody was in a channel here is not known here")
	s := many(t)
	head := dialV2(s).join("x", "")
	zero := head
	zero.Serial = 0
	ask := func(p v2, channel string) {
		p.Send(`{"event":"sockudo:resume","data":{"channel_positions":{"` + channel + `":` + resumeAt(zero, "") + `}}}`)
	}
	refused := func(p v2, channel string) {
		t.Helper()
		if got := p.told("sockudo:resume_failed", channel); !strings.HasPrefix(got, `{"code":"position_expired"`) {
			t.Errorf("%s: %s", channel, got)
		}
		p.told("sockudo:resume_success", "")
	}
	p := dialV2(s)
	p.join("many", "")
	p.join("few", "")
	for range rate.FruitlessAtOnce {
		ask(p, "many")
		refused(p, "many")
	}
	ask(p, "few")
	refused(p, "few")
	p.Send(`{"event":"sockudo:unsubscribe","data":{"channel":"few"}}`)
	p.join("few", `"resume":`+resumeAt(zero, ""))
	refused(p, "few")
	p.Send(`{"event":"sockudo:unsubscribe","data":{"channel":"few"}}`)
	p.join("few", `"rewind":1`)
	if got := p.told("sockudo:rewind_complete", "few"); got != `{"historical_count":0,"live_count":0,"complete":false,"truncated_by_limit":true,"truncated_by_retention":false}` {
		t.Error(got)
	}
	// And another one is not.
	p = dialV2(s)
	p.join("few", "")
	ask(p, "few")
	p.event("1")
	p.told("sockudo:resume_success", "")
	p.join("many", `"resume":`+resumeAt(zero, ""))
	refused(p, "many")
	p.Send(`{"event":"sockudo:unsubscribe","data":{"channel":"many"}}`)
	p.join("many", `"rewind":{"seconds":60}`)
	if got := p.told("sockudo:rewind_complete", "many"); got != `{"historical_count":0,"live_count":0,"complete":false,"truncated_by_limit":true,"truncated_by_retention":false}` {
		t.Error(got)
	}
}

// TestResumesWaitForWhoReads: who asks on and on, all in one go, and does not read meanwhile is
// heard no further than its outbox holds, and then is given everything.
func TestResumesWaitForWhoReads(t *testing.T) {
	pushertest.Alone(t, "what was published before anybody was in a channel here is not known here")
	s := many(t)
	p := dialV2(s)
	at := p.join("x", "")
	at.Serial = 300
	const times = 50
	var burst bytes.Buffer
	for range times {
		for _, text := range []string{
			`{"event":"sockudo:subscribe","data":{"channel":"many"}}`,
			`{"event":"sockudo:resume","data":{"channel_positions":{"many":` + resumeAt(at, "") + `}}}`,
			`{"event":"sockudo:unsubscribe","data":{"channel":"many"}}`,
		} {
			text += strings.Repeat(" ", 126)                                                         // so that each has a length of two bytes
			burst.Write([]byte{0x81, 0x80 | 126, byte(len(text) >> 8), byte(len(text)), 0, 0, 0, 0}) // masked with zeros
			burst.WriteString(text)
		}
	}
	if _, err := p.WS.NetConn().Write(burst.Bytes()); err != nil {
		t.Fatal(err)
	}
	for range times {
		if f := p.next(); f.Event != "sockudo_internal:subscription_succeeded" {
			t.Fatalf("%s", f)
		}
		for n := 300; n < 400; n++ {
			p.event(fmt.Sprint(n))
		}
		if got := p.told("sockudo:resume_success", ""); !strings.Contains(got, `"replayed":100`) {
			t.Fatal(got)
		}
	}
}
