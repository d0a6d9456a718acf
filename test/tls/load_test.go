package tls

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestReplacedUnderLoad replaces the certificate again and again, once by rubbish, while
// events are sent and clients come: nobody is closed, nothing is refused, and who comes
// then is shown the new one.
func TestReplacedUnderLoad(t *testing.T) {
	set, a, dir, _ := files(t, "push.example.com")
	set["TLS_SENDERS"] = "on"
	s := serve(t, set, nil)
	trusts := a.Client()
	var clients []*listener
	for range 20 {
		clients = append(clients, s.listen(t, trusts))
	}
	var sent atomic.Int64
	stop := make(chan struct{})
	var loading sync.WaitGroup
	for _, work := range []func() error{
		func() error {
			err := s.send("https", trusts, "x")
			sent.Add(1)
			return err
		},
		func() error { _, err := s.shows(trusts); return err },
	} {
		loading.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
				if err := work(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for round := range 3 {
		before, err := s.shows(trusts)
		if err != nil {
			t.Fatal(err)
		}
		if round == 1 {
			write(t, dir+"/cert.pem", []byte("rubbish"))
			eventually(t, "a word about it", func() bool { return strings.Contains(s.log.String(), "cannot be used") })
			if now, err := s.shows(trusts); err != nil || now != before {
				t.Errorf("%s, %v", now, err)
			}
		}
		a.Write(dir, "push.example.com")
		eventually(t, "the new certificate", func() bool {
			now, err := s.shows(trusts)
			return err == nil && now != before
		})
	}
	close(stop)
	loading.Wait()
	for _, l := range clients {
		for n := range sent.Load() {
			select {
			case <-l.got:
			case err := <-l.ended:
				t.Fatalf("closed after %d of %d events: %v", n, sent.Load(), err)
			case <-time.After(patience):
				t.Fatalf("%d of %d events", n, sent.Load())
			}
		}
	}
}

// TestFlood opens more half and whole handshakes than there is room for, from the address
// of everybody else too: who is in hears, and who comes gets in.
func TestFlood(t *testing.T) {
	set, a, _, _ := files(t, "push.example.com")
	set["MAX_CONNECTIONS"], set["HEADER_TIMEOUT"] = "200", "2s"
	s := serve(t, set, nil)
	trusts := a.Client()
	in := s.listen(t, trusts)
	stop := make(chan struct{})
	var flooding sync.WaitGroup
	defer flooding.Wait()
	defer close(stop)
	for i := range 8 {
		flooding.Go(func() {
			var open []net.Conn
			defer func() {
				for _, nc := range open {
					nc.Close()
				}
			}()
			for {
				select {
				case <-stop:
					return
				case <-time.After(time.Millisecond):
				}
				nc, err := net.Dial("tcp", addr(s.client))
				if err != nil {
					continue
				}
				if open = append(open, nc); len(open) > 100 {
					open[0].Close()
					open = open[1:]
				}
				if i == 0 {
					_ = nc.SetDeadline(time.Now().Add(time.Second))
					_ = tls.Client(nc, trusts).Handshake() // and never a word
				} else {
					_, _ = io.WriteString(nc, "\x16\x03\x01\x02\x00\x01\x00"[:i])
				}
			}
		})
	}
	time.Sleep(500 * time.Millisecond) // the flood is there
	for range 10 {
		var l *listener
		eventually(t, "who comes to be in", func() bool {
			var err error
			l, err = s.enter(t, trusts)
			return err == nil
		})
		if err := s.send("http", nil, "x"); err != nil {
			t.Fatal(err)
		}
		for _, one := range []*listener{in, l} {
			select {
			case <-one.got:
			case err := <-one.ended:
				t.Fatalf("closed: %v", err)
			case <-time.After(patience):
				t.Fatal("an event is missing")
			}
		}
	}
}
