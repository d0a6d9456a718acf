package idempotency

import (
	"context"
	"time"
)

// A Turn is what a request with a key is to do. One of its fields is set.
type Turn struct {
	Claim     *Claim  // send, then settle the claim, or release it
	Answer    *Answer // send nothing, and answer this
	Elsewhere bool    // do nothing: the request is served again where it may wait
}

// Take takes a key, which [Check] has found good, for a content. While another request with
// the key and the content is under way it waits for that, at most until ctx ends or for
// some seconds, which is [ErrUnderWay]; before it waits it asks aside whether the request
// is served where it may, as [poosh/server/admission.Gate.EnterOr] does. A key that was
// used with another content is [ErrConflict].
//
// Who takes several keys takes them in the order of their kind and text, so that two who
// want the same ones do not wait for each other.
func (k *Keys) Take(ctx context.Context, kind Kind, key string, of Content, aside func() bool) (Turn, error) {
	name := string(kind) + key // its own memory
	var late <-chan time.Time
	for {
		claim, answer, wait, err := k.take(name, of)
		switch {
		case err != nil:
			k.store.counts.Add(conflict, 1)
			return Turn{}, err
		case answer != nil:
			k.store.counts.Add(replayed, 1)
			return Turn{Answer: answer}, nil
		case claim != nil:
			return Turn{Claim: claim}, nil
		case late == nil && aside():
			return Turn{Elsewhere: true}, nil
		}
		if late == nil {
			t := time.NewTimer(k.store.patience)
			defer t.Stop()
			late = t.C
		}
		select {
		case <-wait:
			continue
		case <-late:
		case <-ctx.Done():
		}
		k.store.counts.Add(underWay, 1)
		return Turn{}, ErrUnderWay
	}
}
