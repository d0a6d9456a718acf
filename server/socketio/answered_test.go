package socketio

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A client that closes its connection as soon as it has read the whole answer, as those
// of Java and Android do, keeps its session.
func TestConnectionClosedBehindItsAnswer(t *testing.T) {
	each(t, Config{}, func(s *site) {
		p := s.poll("EIO=3")
		p.want("40")
		session := take(s.T, s.connected, "the client")
		for i := range 300 {
			before, _ := s.polls.of(session)
			conn, err := s.dialer()
			if err != nil {
				s.Fatal(err)
			}
			fmt.Fprintf(conn, "GET %s?%s HTTP/1.1\r\nHost: test\r\n\r\n", Path, p.query)
			s.await(session, before, nil)
			session.Deliver(EventFrame("e", []byte(fmt.Sprint(i))))
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				s.Fatal(err)
			}
			text := make([]byte, resp.ContentLength)
			_, err = io.ReadFull(resp.Body, text)
			_ = conn.Close() // at once
			if want := fmt.Sprintf(`42["e",%d]`, i); err != nil || resp.StatusCode != 200 || !strings.Contains(string(text), want) {
				s.Fatalf("%d %q, %v; want %s", resp.StatusCode, text, err, want)
			}
		}
		p.post("2")
		p.want("3")
	})
}
