package server

import "poosh/server/metric"

// historyReadings are about what is kept for clients that come back.
func (s *Server) historyReadings() []metric.Reading {
	if s.kept == nil {
		return nil
	}
	st := s.kept.Stats()
	return []metric.Reading{
		metric.Gauge("history_events", "history_events", "Events that are kept for clients that come back.", st.Events),
		metric.Gauge("", "history_rooms", "Rooms that something is kept of.", st.Rooms),
		metric.Gauge("history_bytes", "history_bytes", "Bytes that what is kept takes, as HISTORY_BYTES and PUSHER_HISTORY_BYTES count them.", st.Bytes),
		metric.Counter("", "history_cut_total", "Events that were dropped before their time was over, for HISTORY_BYTES, HISTORY_EVENTS or those of PUSHER_HISTORY.", st.Cut),
	}
}
