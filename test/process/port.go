package process

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"
)

// Ports come in blocks of so many, from lowestPort up to those that the system gives away
// itself.
const (
	blockSize  = 50
	lowestPort = 10000
)

// own is what this process has of the blocks.
var own struct {
	mu     sync.Mutex
	claims []net.Listener // at the first port of each block, for as long as the process lives
	at     int            // of the claims, the one whose ports are given
	given  int            // of its ports
}

// FreePort returns a port of 127.0.0.1 that is free now and that nobody else is given, for
// a program that listens there later, and perhaps again after an end. It is none of those
// that the system gives to connections and to who listens at port 0: such a one is taken
// by whatever connects while nobody listens there, and who dials it then may even be
// connected with itself. Other processes that call FreePort keep away from it too. It may be
// called from any goroutine.
func FreePort(t testing.TB) int {
	t.Helper()
	port, err := Port()
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// Port is FreePort for who is no test.
func Port() (int, error) {
	own.mu.Lock()
	defer own.mu.Unlock()
	for range 10 * blockSize {
		if len(own.claims) == 0 || own.given == blockSize-1 {
			if err := nextBlock(); err != nil {
				return 0, err
			}
		}
		own.given++
		port := own.claims[own.at].Addr().(*net.TCPAddr).Port + own.given
		if ln, err := listen(port); err == nil {
			_ = ln.Close()
			return port, nil
		}
	}
	return 0, errors.New("no port of 127.0.0.1 is free")
}

// nextBlock claims another block, or begins anew with those that it has when there is none.
func nextBlock() error {
	blocks := (firstGiven() - lowestPort) / blockSize
	own.given = 0
	if blocks > 0 {
		begin := rand.IntN(blocks)
		for i := range blocks {
			if ln, err := listen(lowestPort + (begin+i)%blocks*blockSize); err == nil {
				own.claims = append(own.claims, ln)
				own.at = len(own.claims) - 1
				return nil
			}
		}
	}
	if len(own.claims) == 0 {
		return fmt.Errorf("no %d ports from %d to %d can be had", blockSize, lowestPort, firstGiven())
	}
	own.at = (own.at + 1) % len(own.claims)
	return nil
}

func listen(port int) (net.Listener, error) {
	return net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
}

// firstGiven is the lowest port that the system gives away itself.
func firstGiven() int {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return 32768 // no Linux; 49152 on most others
	}
	var first int
	if _, err := fmt.Sscan(string(text), &first); err != nil || first < lowestPort+blockSize {
		return 32768 // they are given away too: better than none
	}
	return first
}
