package app

import (
	"encoding/json"

	"poosh/server/hub"
	"poosh/server/pusher/protocol"
)

// rewound tells a client that wanted to go back what became of that. What the client could not
// take is truncated by a limit, whatever else is.
func rewound(channel string, q *question, got hub.Recovery) []byte {
	type told struct {
		Count       int  `json:"historical_count"`
		Live        int  `json:"live_count"`
		Complete    bool `json:"complete"`
		ByLimit     bool `json:"truncated_by_limit"`
		ByRetention bool `json:"truncated_by_retention"`
	}
	d := told{Count: got.Missed, ByLimit: got.More || q.refused, ByRetention: !got.Whole && !q.refused}
	d.Complete = !d.ByLimit && !d.ByRetention
	return protocol.ObjectFrame("sockudo:rewind_complete", channel, text(d))
}

// A resumed is the answer to a client that resumes.
type resumed struct {
	Recovered []recoveredChannel `json:"recovered"`
	Failed    []failedChannel    `json:"failed"`
}

type recoveredChannel struct {
	Channel  string   `json:"channel"`
	Source   string   `json:"source"`
	Replayed int      `json:"replayed"`
	Position position `json:"position"`
}

type position struct {
	StreamID string `json:"stream_id"`
	Serial   uint64 `json:"serial"`
}

type failedChannel struct {
	Channel  string `json:"channel,omitempty"`
	Code     string `json:"code"`
	Reason   string `json:"reason"`
	Expected string `json:"expected_stream_id,omitempty"`
	Current  string `json:"current_stream_id,omitempty"`
	Newest   uint64 `json:"newest_available_serial,omitempty"`
}

// add notes what became of one channel, and returns what the client is told of it alone if
// it is not recovered.
func (m *resumed) add(channel string, since *Since, got hub.Recovery) []byte {
	if got.Whole {
		m.Recovered = append(m.Recovered, recoveredChannel{channel, "hot", got.Missed, position{protocol.StreamID(got.Head.Epoch), got.Head.Number}})
		return nil
	}
	no := failedChannel{Code: "position_expired", Reason: "recovery_window_exceeded", Current: protocol.StreamID(got.Head.Epoch), Newest: got.Head.Number}
	switch {
	case since.After.Epoch != got.Head.Epoch:
		no.Code, no.Reason = "stream_reset", "stream_id_mismatch"
		if since.After != NoPosition { // the client's, where it was a log's
			no.Expected = protocol.StreamID(since.After.Epoch)
		}
	case since.After.Number > got.Head.Number:
		no.Code, no.Reason = "continuity_unverifiable", "position_ahead_of_stream"
	}
	return m.fail(channel, no)
}

func (m *resumed) fail(channel string, no failedChannel) []byte {
	frame := protocol.EventFrame("sockudo:resume_failed", channel, text(no))
	no.Channel = channel
	m.Failed = append(m.Failed, no)
	return frame
}

func (m *resumed) frame() []byte {
	if m.Recovered == nil {
		m.Recovered = []recoveredChannel{}
	}
	if m.Failed == nil {
		m.Failed = []failedChannel{}
	}
	return protocol.EventFrame("sockudo:resume_success", "", text(m))
}

func text(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // it has texts and numbers
	}
	return b
}

// notKept answers one who resumes in an app of which nothing is kept.
func notKept(channel string) (frames [2][]byte) {
	var said resumed
	frames[0] = said.fail(channel, failedChannel{Code: "continuity_unverifiable", Reason: "history_disabled"})
	frames[1] = said.frame()
	return frames
}
