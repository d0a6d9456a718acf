package api_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"poosh/server/pusher"
	"poosh/server/pusher/app"
	"poosh/server/pusher/pushertest"
)

// A told history is the part of an answer that is looked at.
type toldHistory struct {
	Items []struct {
		Serial    uint64
		StreamID  string `json:"stream_id"`
		MessageID string `json:"message_id"`
		Name      string `json:"event_name"`
		Published int64  `json:"published_at_ms"`
		Message   struct{ Event, Channel, Data string }
	}
	Direction  string
	Limit      int
	More       bool               `json:"has_more"`
	Next       *string            `json:"next_cursor"`
	Bounds     map[string]*uint64 `json:"bounds"`
	Continuity struct {
		StreamID  string `json:"stream_id"`
		Complete  bool
		Truncated bool    `json:"truncated_by_retention"`
		Oldest    *uint64 `json:"oldest_available_serial"`
		Newest    *uint64 `json:"newest_available_serial"`
		Messages  int     `json:"retained_messages"`
	}
}

func (h *toldHistory) data() string {
	var list []string
	for _, item := range h.Items {
		list = append(list, item.Message.Data)
	}
	return strings.Join(list, " ")
}

func TestHistory(t *testing.T) {
	pushertest.Alone(t, "no process of several says that it has all")
	a := pushertest.App()
	a.History, a.HistoryBytes, a.HistoryEvents = app.Duration(time.Hour), 1<<20, 5
	s := pushertest.New(t, pusher.Config{Apps: []pusher.App{a}})
	get := func(channel string, query ...string) (h toldHistory) {
		t.Helper()
		q := url.Values{}
		for i := 0; i < len(query); i += 2 {
			q.Set(query[i], query[i+1])
		}
		status, text := s.Call("GET", "/channels/"+channel+"/history", q, "")
		if err := json.Unmarshal([]byte(text), &h); status != 200 || err != nil {
			t.Fatalf("%q: %d %s, %v", query, status, text, err)
		}
		return h
	}
	if h := get("private-c"); len(h.Items) != 0 || h.Items == nil || h.More || !h.Continuity.Complete || h.Continuity.Oldest != nil {
		t.Errorf("of a channel without events: %+v", h)
	}
	for n := range 7 {
		s.Trigger("private-c", "e", fmt.Sprint(n))
		s.Trigger("other", "e", "other")
	}
	h := get("private-c")
	if h.data() != "6 5 4 3 2" || h.More || h.Next != nil || h.Continuity.Complete || !h.Continuity.Truncated || h.Direction != "newest_first" || h.Limit != 100 ||
		*h.Continuity.Oldest != h.Items[4].Serial || *h.Continuity.Newest != h.Items[0].Serial || h.Continuity.Messages != 5 || len(h.Bounds) != 4 {
		t.Errorf("%+v", h)
	}
	item := h.Items[0]
	if item.Name != "e" || item.Message.Event != "e" || item.Message.Channel != "private-c" || item.StreamID != h.Continuity.StreamID ||
		time.Since(time.UnixMilli(item.Published)).Abs() > time.Hour || item.MessageID == "" {
		t.Errorf("%+v", item)
	}
	serial := func(n int) string { return fmt.Sprint(h.Items[6-n].Serial) } // of the event n
	for _, tt := range []struct{ query, want string }{
		{"limit=2", "6 5|4 3|2"},
		{"limit=2&direction=oldest_first", "2 3|4 5|6"},
		{"limit=5&direction=forwards", "2 3 4 5 6"},
		{"limit=9999&direction=backwards", "6 5 4 3 2"},
		{"start_serial=" + serial(3) + "&end_serial=" + serial(5), "5 4 3"},
		{"limit=1&start_serial=" + serial(3) + "&end_serial=" + serial(4), "4|3"},
		{"start_time_ms=9999999999999", ""},
		{"end_time_ms=1", ""},
		{"start_time_ms=1&end_time_ms=9999999999999", "6 5 4 3 2"},
	} {
		var pages []string
		query := []string{}
		for _, part := range strings.Split(tt.query, "&") {
			name, value, _ := strings.Cut(part, "=")
			query = append(query, name, value)
		}
		for at := query; ; {
			h := get("private-c", at...)
			pages = append(pages, h.data())
			if h.More != (h.Next != nil) {
				t.Fatalf("%s: %+v", tt.query, h)
			}
			if !h.More {
				break
			}
			at = append(query[:len(query):len(query)], "cursor", *h.Next)
		}
		if got := strings.Join(pages, "|"); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.query, got, tt.want)
		}
	}
	// Of a channel that has lost nothing it depends on the answer whether that is all.
	s.Trigger("few", "e", "0")
	s.Trigger("few", "e", "1")
	few := get("few")
	if !few.Continuity.Complete || few.data() != "1 0" {
		t.Errorf("all of it: %+v", few)
	}
	first := get("few", "limit", "1")
	if first.Continuity.Complete || !first.More {
		t.Fatalf("the first page: %+v", first)
	}
	for name, part := range map[string]toldHistory{
		"the last page":      get("few", "limit", "1", "cursor", *first.Next),
		"a part, by serials": get("few", "end_serial", fmt.Sprint(few.Items[1].Serial)),
		"none, by times":     get("few", "end_time_ms", "1"),
	} {
		if part.Continuity.Complete || part.More || part.Continuity.Truncated || part.Continuity.Messages != 2 {
			t.Errorf("%s: %+v", name, part)
		}
	}
	for _, bad := range []string{"limit=0", "limit=x", "limit=-1", "direction=up", "cursor=x", "cursor=:1", "cursor=" + h.Continuity.StreamID + ":0", "start_serial=x", "end_time_ms=-1"} {
		name, value, _ := strings.Cut(bad, "=")
		if status, text := s.Call("GET", "/channels/private-c/history", url.Values{name: {value}}, ""); status != 400 || !strings.Contains(text, `"code":"invalid_input"`) {
			t.Errorf("%s: %d %s", bad, status, text)
		}
	}
	if status, text, _ := s.Raw("GET", "/apps/"+pushertest.ID+"/channels/private-c/history", ""); status != 401 {
		t.Errorf("unsigned: %d %s", status, text)
	}
	off := pushertest.New(t, pusher.Config{})
	if status, text := off.Call("GET", "/channels/c/history", nil, ""); status != 422 || !strings.Contains(text, `"code":"feature_disabled"`) {
		t.Errorf("off: %d %s", status, text)
	}
}
