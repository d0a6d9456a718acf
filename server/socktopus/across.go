package socktopus

import (
	"context"
	"net/http"
	"slices"
	"time"

	"poosh/auth"
	"poosh/server/hub"
	"poosh/server/loop"
	"poosh/server/respond"
	"poosh/server/sends"
)

// publishAcross is publish among many processes: a message has succeeded whose recipient some
// process has and that was handed to all. It is not ok if nothing was sent since nobody can be
// asked.
func (d *Dialect) publishAcross(r *http.Request, a *app, id string, messages []message) (answer sendAnswer, ok bool) {
	ctx, cancel := context.WithTimeout(r.Context(), sendPatience)
	defer cancel()
	there, askErr := d.held(ctx, a, messages)
	became := d.sendAll(ctx, a, messages, there)
	var kept map[int]bool
	if askErr == nil && d.keepsAcross() {
		kept = d.keepElsewhere(ctx, a, messages, d.without(messages, there, nil))
		if rest := d.without(messages, there, kept); len(rest) > 0 { // some may have come back in between
			again, err := d.held(ctx, a, messages)
			for i := range again {
				again[i] = err == nil && again[i] && slices.Contains(rest, i)
			}
			for i, h := range d.sendAll(ctx, a, messages, again) {
				if again[i] {
					became[i] = h
				}
			}
		}
	}
	return d.sortOut(r, a, id, messages, became, kept, askErr)
}

// without are the places of messages whose recipients nobody has, and that are not kept.
func (d *Dialect) without(messages []message, there []bool, kept map[int]bool) (places []int) {
	for i, m := range messages {
		if !there[i] && !kept[i] && d.fits(m) {
			places = append(places, i)
		}
	}
	return places
}

// sendAll sends the messages whose recipients are there, in order, and returns what became of each.
func (d *Dialect) sendAll(ctx context.Context, a *app, messages []message, there []bool) []hub.Handed {
	became := make([]hub.Handed, len(messages))
	answers := make(chan struct{}, len(messages)) // nobody waits to say so
	asked, published := 0, 0
	for i, m := range messages {
		if published > stride {
			if d.cfg().Gate.Pause(ctx) != nil {
				break // the rest has failed
			}
			published = 0
		}
		if !there[i] || !d.fits(m) {
			continue
		}
		published += len(m.Content) + loop.Cost(nil)
		asked++
		d.hub.Send(&hub.Publication{App: a.room, Room: m.Recipient, Data: []byte(m.Content)}, func(h hub.Handed) {
			became[i] = h
			answers <- struct{}{}
		})
	}
	for range asked { // which the broker bounds
		<-answers
	}
	return became
}

// sortOut says what became of messages. Without an engine nobody may be told that all have
// failed: they may have recipients elsewhere.
func (d *Dialect) sortOut(r *http.Request, a *app, id string, messages []message, became []hub.Handed, kept map[int]bool, away error) (answer sendAnswer, ok bool) {
	answer = sendAnswer{Succeeded: []message{}, Failed: []message{}}
	for i, m := range messages {
		h, took := became[i], 0
		if h.Err != nil {
			away = h.Err
		} else if h.Nodes != 0 && h.Took != 0 { // -1: the process that has it knows
			took = 1
		}
		a.traffic.Published(len(m.Content), 0) // its own process counts it
		switch {
		case took > 0:
			answer.Succeeded = append(answer.Succeeded, m)
		case kept[i]:
			answer.Kept = append(answer.Kept, m)
		default:
			answer.Failed = append(answer.Failed, m)
		}
		if d.cfg().Sends.Watched() {
			d.report(a, sends.Item(id, i), m, took, r.RemoteAddr)
		}
	}
	return answer, away == nil || len(answer.Succeeded)+len(answer.Kept) > 0
}

// held reports of each message whether somebody has its recipient. If nobody can be asked it is
// what this process knows: with CLUSTER_WHEN_DOWN=local that is who is reached.
func (d *Dialect) held(ctx context.Context, a *app, messages []message) ([]bool, error) {
	ids := make([]string, len(messages))
	for i, m := range messages {
		ids[i] = m.Recipient
	}
	there, err := d.cfg().Holder.Held(ctx, a.room, ids)
	if err == nil {
		return there, nil
	}
	there = make([]bool, len(ids))
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, id := range ids {
		there[i] = a.clients[id] != nil
	}
	return there, err
}

// kickAcross is kick among many processes: nobody waits for tokens, since no process lets
// anybody in with one that was there, for as long as such a token lives. Until it is known how
// long that is, nobody comes in at all.
func (d *Dialect) kickAcross(w http.ResponseWriter, r *http.Request, a *app, ids []string) {
	now := d.wall().UnixMilli()
	had, err := d.barAcross(a, ids, 0, auth.SocktopusLife)
	if err == nil {
		err = d.letNewOnes(a, ids, had, now)
	}
	if err != nil {
		d.refuseForNow(w, r, away)
		return
	}
	if d.keepsAcross() { // nobody gets what was kept for who is sent away
		d.askKeeping(r.Context(), keeping{App: a.name, Drop: ids}, func([]byte) {})
	}
	d.log.Debug("socktopus: kick", "remote", r.RemoteAddr, "app", a.name, "connected", len(had))
	respond.Go.JSON(w, http.StatusOK, http.StatusOK)
}

// letNewOnes has ids barred for tokens alone that were there: all up to a time, and those that were
// joined with, which may be of a clock ahead of that.
func (d *Dialect) letNewOnes(a *app, ids []string, had map[string]int64, now int64) error {
	byTime := make(map[int64][]string)
	for _, id := range ids {
		before := max(now, had[id])
		byTime[before] = append(byTime[before], id)
	}
	for before, list := range byTime {
		ahead := time.Duration(before-now) * time.Millisecond
		if _, err := d.barAcross(a, list, before, ahead+auth.SocktopusLife); err != nil {
			return err
		}
	}
	return nil
}

// barAcross waits for the holder, which bounds that.
func (d *Dialect) barAcross(a *app, ids []string, before int64, wait time.Duration) (had map[string]int64, err error) {
	done := make(chan struct{})
	d.cfg().Holder.Bar(a.room, ids, before, wait, func(h map[string]int64, e error) {
		had, err = h, e
		close(done)
	})
	<-done
	return had, err
}
