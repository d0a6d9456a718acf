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
	_, err := s.Publish(ctx, channel, payload)
	return err
}

// Publish is Say, and returns to how many connections that server has handed the message: of a Redis
// Cluster those of one server alone.
func (s *Speaker) Publish(ctx context.Context, channel string, payload []byte) (heard int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*timeout)
	defer cancel()
	if s.client == nil {
		client, err := dial(ctx, s.at.At(s.turn), s.name, defaultMaxMessage, timeout)
		if err != nil {
			s.turn++
			return 0, s.at.Worded(err)
		}
		s.client = client
	}
	heard, err = s.client.Do(ctx, s.client.B().Publish().Channel(channel).Message(rueidis.BinaryString(payload)).Build()).AsInt64()
	if err != nil {
		s.Close()
		return 0, s.at.Worded(err)
	}
	return heard, nil
}

// Close ends the connection, if there is one.
func (s *Speaker) Close() {
	if s.client != nil {
		s.client.Close()
		s.client = nil
	}
}
