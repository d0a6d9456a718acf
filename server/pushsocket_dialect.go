package server

import (
	"errors"
	"fmt"

	"poosh/server/pushsocket"
	"poosh/server/pushsocket/store"
	"poosh/server/socketio"
)

// addPushSocket wires the Push Socket Protocol: socket.io and the key server's API
// on one port, and the store behind them. From here on its Shutdown must be called.
func (s *Server) addPushSocket() error {
	c := s.cfg.PushSocket
	sockets := s.socketIOConfig()
	sockets.Origins = c.Origins
	d, err := pushsocket.New(pushsocket.Config{
		SocketIO:        sockets,
		Gate:            s.gate,
		DB:              c.DB,
		Limits:          c.Keep,
		NoPrekeysStatus: c.NoPrekeysStatus,
		OperatorToken:   c.OperatorToken,
		Requests:        c.Requests,
		Registrations:   c.Registrations,
		KeyFetches:      c.KeyFetches,
		MaxBody:         c.MaxBodyBytes,
		MaxKey:          c.MaxKeyBytes,
		StoreTimeout:    c.StoreTimeout,
		MaxRecipients:   c.MaxRecipients,
		MaxTries:        c.MaxTries,
		AuthTimeout:     c.AuthTimeout,
		MaxEvents:       max(c.MaxEvents, 2*c.Keep.MessagesPerDevice),
	}, s.hub, s.websockets, s.log)
	if errors.Is(err, store.ErrOpen) {
		return fmt.Errorf("PUSH_SOCKET_DB: %w", err)
	}
	if err != nil {
		return err
	}
	s.add(portConfig{setting: "PUSH_SOCKET_PORT", number: c.Port, handler: d, where: socketIOWhere, bounds: s.limit.forBoth()})
	s.parts = append(s.parts, part{"push socket", d.Shutdown})
	s.polling = append(s.polling, func() socketio.Stats { return d.Stats().Sockets })
	s.counts = append(s.counts, func() []any {
		st := d.Stats()
		return []any{"push_socket_sessions", st.Sockets.Sessions, "push_socket_devices", st.Authorized,
			"push_socket_ended", st.Sockets.Ended, "push_socket", st.Counts}
	})
	return nil
}
