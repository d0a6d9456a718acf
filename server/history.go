package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"poosh/server/dialect"
	"poosh/server/handover"
	"poosh/server/metric"
	"poosh/server/setting"
)

// historyPart is what the log is called in the file. Dialects have theirs under their names.
const historyPart = "history"

// keepsAny reports whether anything is kept for clients that come back.
func (c *Config) keepsAny() bool {
	return c.History.On() || slices.ContainsFunc(c.on(), func(d *dialect.Dialect) bool { return d.Kept != nil && len(d.Kept()) > 0 })
}

// checkHistory finds a file that nothing would be in. Dialects have been checked before, so
// that they know what they keep; where they could not, it is not for this to tell.
func (c *Config) checkHistory(m *setting.Mistakes) {
	if c.History.File != "" && !c.keepsAny() && !m.Has("HISTORY", "HISTORY_FILE", "PUSHER_HISTORY", "PUSHER_APPS") {
		m.Add("HISTORY_FILE", "is set without HISTORY or PUSHER_HISTORY, so that there is nothing to leave in it: want one of them too")
	}
}

// foreignHistory warns of a file of something else.
func (c *Config) foreignHistory(m *setting.Mistakes) []string {
	if path := c.History.File; path != "" && !m.Has("HISTORY_FILE") && handover.Foreign(path) {
		return []string{fmt.Sprintf("HISTORY_FILE is %s, a file that Poosh has not left: it stays as it is, and nothing is left there at the end; move it away, or name another one", setting.Shown(path))}
	}
	return nil
}

// goOn goes on with what the last process left in HISTORY_FILE, if there is anything. A file
// that is of no use is told of and does not matter; the error says that there cannot be one.
func (s *Server) goOn() error {
	path := s.cfg.History.File
	if s.kept == nil || path == "" {
		return nil
	}
	began := time.Now()
	file, left, err := handover.Begin(path, s.log)
	if err != nil {
		return fmt.Errorf("HISTORY_FILE: %w", err)
	}
	s.file = file
	if left == nil {
		return nil
	}
	for _, d := range s.dialects {
		if r := left.Part(d.name); r != nil && d.Restore != nil {
			if err := d.Restore(r); err != nil {
				left.Refuse(fmt.Errorf("its part %q: %w", d.name, err))
				return nil
			}
		}
	}
	log := left.Part(historyPart)
	if log == nil {
		left.Refuse(fmt.Errorf("%w: it has no part %q", handover.ErrBroken, historyPart))
		return nil
	}
	done, err := s.kept.Restore(log, left.Written())
	if err != nil {
		left.Refuse(fmt.Errorf("its part %q: %w", historyPart, err))
		return nil
	}
	left.Close()
	s.log.Info("goes on with the history of the last process", "file", path, "left", left.Written().UTC().Format(time.RFC3339),
		"events", done.Events, "too_old", done.Late, "took", time.Since(began).Round(time.Millisecond))
	return nil
}

// leaveHistory leaves what is kept to the next process, once all has ended that publishes.
func (s *Server) leaveHistory(ctx context.Context) {
	if s.file == nil {
		return
	}
	began := time.Now()
	switch left, err := s.writeHistory(ctx); {
	case err != nil:
		s.log.Error("the history is not left to the next process", "err", err)
	case left:
		s.log.Info("the history is left to the next process", "events", s.kept.Stats().Events, "took", time.Since(began).Round(time.Millisecond))
	}
}

// lastMoment is for a writer that has been told that the time is over to say how it ended.
const lastMoment = 100 * time.Millisecond

// writeHistory writes what is kept, unless somebody is still publishing: that would be answered
// as accepted, and clients be told that they have all, though it is in no file.
func (s *Server) writeHistory(ctx context.Context) (left bool, err error) {
	if s.gate.Wait(ctx) != nil {
		return false, errors.New("events are still being published")
	}
	if ctx.Err() != nil {
		return false, errors.New("there is no time left for it")
	}
	parts := []handover.Part{{Name: historyPart, Write: s.kept.Save}}
	for _, d := range s.dialects {
		if d.Save != nil {
			parts = append(parts, handover.Part{Name: d.name, Write: d.Save})
		}
	}
	type end struct {
		left bool
		err  error
	}
	written := make(chan end, 1)
	go func() { // ends with the file, or with the process if the disk stands still
		left, err := s.file.Write(ctx, parts...)
		written <- end{left, err}
	}()
	select {
	case e := <-written:
		return e.left, e.err
	case <-ctx.Done():
	}
	select {
	case e := <-written:
		return e.left, e.err
	case <-time.After(lastMoment):
		return false, errors.New("the disk takes too long")
	}
}

// historyReadings are about what is kept for clients that come back.
func (s *Server) historyReadings() []metric.Reading {
	if s.kept == nil {
		return nil
	}
	st := s.kept.Stats()
	waiting, refused := s.hub.Awaiting()
	return []metric.Reading{
		metric.Gauge("history_events", "history_events", "Events that are kept for clients that come back.", st.Events),
		metric.Gauge("", "history_rooms", "Rooms that something is kept of.", st.Rooms),
		metric.Gauge("history_bytes", "history_bytes", "Bytes that what is kept takes, as HISTORY_BYTES and PUSHER_HISTORY_BYTES count them.", st.Bytes),
		metric.Gauge("", "history_waiting", "Who waits until this node of a cluster has come to where another one was.", waiting),
		metric.Counter("", "history_waits_refused_total", "How often somebody did not wait for that, since too many did.", refused),
		metric.Counter("", "history_cut_total", "Events that were dropped before their time was over, for HISTORY_BYTES, HISTORY_EVENTS or those of PUSHER_HISTORY.", st.Cut),
	}
}
