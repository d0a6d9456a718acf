package intake

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// TestDialEndsWithItsContext has nothing of a connection stay that was being made when the time was up,
// however long a Redis or a Sentinel might take.
func TestDialEndsWithItsContext(t *testing.T) {
	for name, before := range map[string]string{"a Redis": "redis://", "a Sentinel": "redis-sentinel://"} {
		t.Run(name, func(t *testing.T) {
			silent, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer silent.Close()
			url := before + silent.Addr().String()
			if name == "a Sentinel" {
				url += "/primary"
			}
			at, err := ParseAddress(url)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			closed := make(chan error, 1)
			go func() { // ends with dial
				c, err := silent.Accept()
				if err == nil {
					_, _ = c.Read(make([]byte, 1)) // it asks
					cancel()
					_, err = io.Copy(io.Discard, c)
					c.Close()
				}
				closed <- err
			}()
			if _, err := dial(ctx, at, "test", 1024, time.Hour); !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
			select {
			case <-closed:
			case <-time.After(30 * time.Second):
				t.Error("the connection stays open")
			}
		})
	}
}
