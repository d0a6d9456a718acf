package poosh

import (
	"fmt"
	"testing"

	"poosh/server/hub"
)

// What a publication costs beside a room of a thousand, by how it is encoded.
func BenchmarkEncoders(b *testing.B) {
	for name, e := range map[string]hub.Encoder{"socket.io": Encoder, "events": EncoderStream, "socket.io, ids": EncoderIDs, "events, ids": EncoderStreamIDs} {
		p := &hub.Publication{App: App, Room: "r", Event: "news", Data: []byte(fmt.Sprintf(`{"id":17,"text":"%0200d"}`, 1))}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.Encode(p)
			}
		})
	}
}
