package pushsocket

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"poosh/server/pushsocket/store"
)

// BenchmarkMail stores messages of 1,000 bytes that 32 senders post over HTTP,
// each with its signature checked and its commit waited for, and stops the clock
// when all of them have been pushed to their device.
func BenchmarkMail(b *testing.B) {
	benchmarkMail(b, Config{Limits: store.Limits{MessagesPerDevice: 1 << 30, BytesPerDevice: 1 << 40}, Requests: Rate{Limit: -1}})
}

func benchmarkMail(b *testing.B, cfg Config) {
	b.Helper()
	s := newSite(b, cfg)
	p := s.registered("1", 1)
	c := p.authorized()
	body := fmt.Sprintf(`{"messages":[{"headers":[{"recipient":%s,"messageHeader":"h"}],"body":"%s"}]}`, quote(p.username), strings.Repeat("x", 1000))
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	defer client.CloseIdleConnections()
	done := make(chan struct{})
	go func() { // ends with the last message
		defer close(done)
		c.messages(b.N)
	}()
	b.SetParallelism(16)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			req, err := http.NewRequestWithContext(context.Background(), "POST", s.url+"/api/v1/message/", strings.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			req.SetBasicAuth(p.username, p.password())
			res, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if res.StatusCode != 200 {
				b.Errorf("status %d", res.StatusCode)
				return
			}
		}
	})
	<-done
}
