package cluster

import "poosh/server/cluster/resp"

// A reply is what came of a command: an answer of the engine, which may be its no, or why there is none.
type reply struct {
	resp.Value
	err error // of the way to the engine; nil for an answer
}

// Error is why there is no answer, or the engine's no.
func (r reply) Error() error {
	if r.err != nil {
		return r.err
	}
	return r.Err()
}

// What follows is as of a [resp.Value].

func (r reply) ToString() (string, error) { return of(r, resp.Value.ToString) }

func (r reply) ToArray() ([]resp.Value, error) { return of(r, resp.Value.ToArray) }

func (r reply) AsStrSlice() ([]string, error) { return of(r, resp.Value.AsStrSlice) }

func (r reply) AsIntSlice() ([]int64, error) { return of(r, resp.Value.AsIntSlice) }

func (r reply) AsInt64() (int64, error) { return of(r, resp.Value.AsInt64) }

func (r reply) AsStrMap() (map[string]string, error) { return of(r, resp.Value.AsStrMap) }

func of[T any](r reply, read func(resp.Value) (T, error)) (T, error) {
	if r.err != nil {
		var none T
		return none, r.err
	}
	return read(r.Value)
}
