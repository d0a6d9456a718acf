package intake

import (
	"context"

	"github.com/redis/rueidis"
)

// A Speaker publishes in a Redis, for who answers there what is read. Make one with [NewSpeaker]. It
// belongs to one goroutine.
type Speaker struct {
	name   string
	at     Address
	turn   int
	client rueidis.Client // nil without a connection
}

// NewSpeaker returns one that has no connection yet. name is that of the dialect.
func NewSpeaker(name string, at Address) *Speaker { return &Speaker{name: name, at: at} }

// Say publishes a message, within ctx and some seconds. After an error nobody knows whether it
// was published, and the next call connects anew. It has no secret.
func (s *Speaker) Say(ctx context.Context, channel string, payload []byte) error {
	ctx, cancel := context.WithTimeout(ctx, 2*timeout)
	defer cancel()
	if s.client == nil {
		client, err := dial(ctx, s.at.At(s.turn), s.name, defaultMaxMessage, timeout)
		if err != nil {
			s.turn++
			return s.at.Worded(err)
		}
		s.client = client
	}
	if err := s.client.Do(ctx, s.client.B().Publish().Channel(channel).Message(rueidis.BinaryString(payload)).Build()).Error(); err != nil {
		s.Close()
		return s.at.Worded(err)
	}
	return nil
}

// Close ends the connection, if there is one.
func (s *Speaker) Close() {
	if s.client != nil {
		s.client.Close()
		s.client = nil
	}
}
