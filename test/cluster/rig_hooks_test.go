//go:build unix

package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A rigHooks is the application that takes webhooks, and what it takes for true by them.
type rigHooks struct {
	*httptest.Server
	mu     sync.Mutex // guards what follows
	total  int
	is     map[string]bool // a channel that is occupied, or a channel and a member that is there
	faults []string        // what was told though it was so, since the last quiet moment
	tell   func(what, format string, args ...any)
}

func newRigHooks(t *testing.T, tell func(what, format string, args ...any)) *rigHooks {
	h := &rigHooks{tell: tell, is: make(map[string]bool)}
	h.Server = httptest.NewServer(http.HandlerFunc(h.take))
	t.Cleanup(h.Close)
	return h
}

func (h *rigHooks) take(_ http.ResponseWriter, r *http.Request) {
	var body struct {
		TimeMS int64 `json:"time_ms"`
		Events []struct {
			Name, Channel string
			UserID        string `json:"user_id"`
		}
	}
	_ = json.NewDecoder(r.Body).Decode(&body)
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range body.Events {
		var came bool
		switch e.Name {
		case "channel_occupied", "member_added":
			came = true
		case "channel_vacated", "member_removed":
		default:
			continue
		}
		h.total++
		what := strings.TrimSpace(e.Channel + " " + e.UserID)
		h.tell(what, "webhook %s", e.Name)
		if h.is[what] == came {
			h.faults = append(h.faults, fmt.Sprintf("the application is told %s of %s again", e.Name, what))
		}
		h.is[what] = came
	}
}

// knows reports whether the application takes somebody, or a channel, for there.
func (h *rigHooks) knows(what string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.is[what]
}

func (h *rigHooks) count() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.total
}

// differs says of what the application does not know what is.
func (h *rigHooks) differs(is map[string]bool) (list []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for what := range maps.Keys(h.is) {
		if h.is[what] != is[what] {
			list = append(list, what)
		}
	}
	for what := range is {
		if _, ok := h.is[what]; !ok {
			list = append(list, what)
		}
	}
	slices.Sort(list)
	return list
}

// again is what it was told twice since the last quiet moment.
func (h *rigHooks) again() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	faults := h.faults
	h.faults = nil
	return faults
}
