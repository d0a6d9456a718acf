package emitter

import "encoding/json"

// A request is what an emitter wants of all servers, as JSON: of @socket.io/redis-emitter 4 and later,
// and of adapters since 7. Numbers changed their meaning between versions, so a request counts by its
// fields: opts is there in those.
type request struct {
	Type *int `json:"type"`
	Opts *struct {
		Rooms  []string `json:"rooms"`
		Except []string `json:"except"`
	} `json:"opts"`
}

// requestDisconnect is the type of the one that is done; joins and leaves of rooms, and questions of
// other servers, are not.
const requestDisconnect = 4

// request does what is asked for, as far as it is.
func (t *taker) request(payload []byte) {
	var q request
	if json.Unmarshal(payload, &q) != nil || q.Type == nil || *q.Type != requestDisconnect || q.Opts == nil ||
		len(q.Opts.Rooms)+len(q.Opts.Except) > t.bounds.rooms {
		return
	}
	t.asked.Add(1)
	t.disconnected.Add(uint64(t.disconnect(q.Opts.Rooms, q.Opts.Except)))
}
