package tls

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"poosh/auth"
	"poosh/server"
	"poosh/server/logtest"
)

const secret = "thisisthesharedsecret"

// A site is a server of these tests, in this process.
type site struct {
	*server.Server
	client, sender int
	log            *logtest.Buffer
	stop           func() // and waits for its end
}

// serve runs a server until the test ends.
func serve(t testing.TB, set map[string]string, change func(*server.Config)) *site {
	t.Helper()
	s := &site{client: freePort(t), sender: freePort(t), log: new(logtest.Buffer)}
	env := map[string]string{"HOST": "127.0.0.1", "SERVER_SECRET": secret,
		"CLIENT_PORT": strconv.Itoa(s.client), "SERVER_PORT": strconv.Itoa(s.sender)}
	maps.Copy(env, set)
	cfg, err := server.FromEnv(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(cfg)
	}
	s.Server, err = server.New(cfg, slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: cfg.LogLevel})))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }() // ends with stop
	s.stop = sync.OnceFunc(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			text := s.log.String()
			t.Logf("the server:\n%s", text[max(0, len(text)-6000):])
		}
	})
	eventually(t, "the ports", func() bool { return len(s.Addrs()) >= 2 })
	return s
}

// send sends an event to everybody.
func (s *site) send(scheme string, trusts *tls.Config, text string) error {
	payload := fmt.Sprintf(`"%s"`, text)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: trusts, DisableKeepAlives: true}, Timeout: patience}
	req, err := http.NewRequest(http.MethodPost, scheme+"://"+addr(s.sender)+"/send", strings.NewReader(fmt.Sprintf(`{"event":"e","payload":%s}`, payload)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", auth.PooshSign(secret, []byte(payload)))
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s", resp.Status, text)
	}
	return nil
}

// A listener is a client that counts events.
type listener struct {
	*websocket.Conn
	got   chan string
	ended chan error
}

// listen connects a client over a WebSocket.
func (s *site) listen(t testing.TB, trusts *tls.Config) *listener {
	t.Helper()
	l, err := s.enter(t, trusts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// enter is listen for who may be refused.
func (s *site) enter(t testing.TB, trusts *tls.Config) (*listener, error) {
	t.Helper()
	dialer := websocket.Dialer{TLSClientConfig: trusts, HandshakeTimeout: patience}
	ws, _, err := dialer.Dial("wss://"+addr(s.client)+"/socket.io/?EIO=4&transport=websocket", nil)
	if err != nil {
		return nil, err
	}
	l := &listener{ws, make(chan string, 10000), make(chan error, 1)}
	t.Cleanup(func() { ws.Close() })
	if err := ws.WriteMessage(websocket.TextMessage, []byte("40")); err != nil {
		return nil, err
	}
	joined := make(chan struct{})
	go l.read(joined) // ends with the connection
	select {
	case <-joined:
		return l, nil
	case err := <-l.ended:
		return nil, err
	case <-time.After(patience):
		return nil, errors.New("the client is not in")
	}
}

// read answers pings and counts events until the connection ends.
func (l *listener) read(joined chan<- struct{}) {
	for {
		_, text, err := l.ReadMessage()
		switch {
		case err != nil:
			l.ended <- err
			return
		case bytes.Equal(text, []byte("2")):
			_ = l.WriteMessage(websocket.TextMessage, []byte("3"))
		case bytes.HasPrefix(text, []byte("40")):
			close(joined)
		case bytes.HasPrefix(text, []byte("42")):
			l.got <- string(text)
		}
	}
}

// shows returns what a new handshake is shown.
func (s *site) shows(trusts *tls.Config) (serial string, err error) {
	nc, err := tls.Dial("tcp", addr(s.client), trusts)
	if err != nil {
		return "", err
	}
	defer nc.Close()
	return nc.ConnectionState().PeerCertificates[0].SerialNumber.String(), nil
}

func write(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
