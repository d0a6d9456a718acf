// Floor does the least a push server can do with one write for each delivery: one
// thread waits for all sockets, and an event is one ready frame that is written
// to each socket in turn. It speaks just enough Engine.IO 3 for the benchmark's
// clients, who are all in one room, and checks the token as the others do.
//
// It is no server to run: it trusts its clients, waits for slow ones, and reads
// requests only if each arrives in one piece.
package main

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"poosh/test/bench/peers/publish"
)

// server is the one thread's state, by descriptor.
type server struct {
	secret  string
	epoll   int
	clients int // listening descriptors
	senders int
	kind    []kind
	seats   []int32 // descriptors of WebSockets
	buf     []byte
}

// kind says what a descriptor is.
type kind uint8

const (
	unknown   kind = iota
	newcomer       // has not asked for its WebSocket
	websocket      // is in seats
	sender         // sends POST /send
)

const (
	maxDescriptors = 1 << 17
	bufferSize     = 128 << 10
)

// What every client is told at once, and the answer to its heartbeat.
var (
	welcome = append(
		frame([]byte(`0{"sid":"floor","upgrades":[],"pingInterval":25000,"pingTimeout":60000}`)),
		frame([]byte("40"))...)
	pong = frame([]byte("3"))
)

func main() {
	runtime.LockOSThread()
	cfg := publish.FromEnv()
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		log.Fatal(err)
	}
	s := &server{secret: cfg.Secret, epoll: epoll, kind: make([]kind, maxDescriptors), buf: make([]byte, bufferSize)}
	s.clients = s.listen(cfg.Clients)
	s.senders = s.listen(cfg.Senders)
	log.Fatal(s.run())
}

// listen opens a listening socket and waits for it.
func (s *server) listen(addr string) int {
	a, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		log.Fatal(err)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		log.Fatal(err)
	}
	to := &syscall.SockaddrInet4{Port: a.Port}
	copy(to.Addr[:], a.IP.To4())
	if err := errors.Join(
		syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1),
		syscall.Bind(fd, to),
		syscall.Listen(fd, 4096),
		s.watch(fd),
	); err != nil {
		log.Fatal(err)
	}
	return fd
}

func (s *server) watch(fd int) error {
	return syscall.EpollCtl(s.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
}

// run serves until the process is killed.
func (s *server) run() error {
	events := make([]syscall.EpollEvent, 512)
	for {
		n, err := syscall.EpollWait(s.epoll, events, -1)
		if err != nil && err != syscall.EINTR {
			return err
		}
		for i := range max(n, 0) {
			switch fd := int(events[i].Fd); fd {
			case s.clients:
				s.accept(fd, newcomer)
			case s.senders:
				s.accept(fd, sender)
			default:
				s.read(fd)
			}
		}
	}
}

func (s *server) accept(listener int, k kind) {
	for {
		fd, _, err := syscall.Accept4(listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		_ = syscall.SetsockoptInt(fd, syscall.IPPROTO_TCP, syscall.TCP_NODELAY, 1)
		if fd >= maxDescriptors || s.watch(fd) != nil {
			_ = syscall.Close(fd)
			continue
		}
		s.kind[fd] = k
	}
}

func (s *server) read(fd int) {
	n, err := syscall.Read(fd, s.buf)
	if err == syscall.EAGAIN || err == syscall.EINTR {
		return
	}
	if n <= 0 || err != nil {
		s.close(fd)
		return
	}
	switch s.kind[fd] {
	case newcomer:
		s.upgrade(fd, s.buf[:n])
	case sender:
		s.send(fd, s.buf[:n])
	case websocket:
		// A masked frame of six bytes and one of payload: the heartbeat "2".
		if n == 7 && s.buf[0] == 0x81 && s.buf[6]^s.buf[2] == '2' {
			s.write(fd, pong)
		}
	}
}

func (s *server) close(fd int) {
	if s.kind[fd] == websocket {
		for i, seat := range s.seats {
			if int(seat) == fd {
				s.seats[i] = s.seats[len(s.seats)-1]
				s.seats = s.seats[:len(s.seats)-1]
				break
			}
		}
	}
	s.kind[fd] = unknown
	_ = syscall.Close(fd)
}

// upgrade answers the handshake of RFC 6455, section 4.2.2.
func (s *server) upgrade(fd int, request []byte) {
	key := header(request, "Sec-WebSocket-Key: ")
	if key == nil {
		s.close(fd)
		return
	}
	sum := sha1.Sum(append(bytes.Clone(key), "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"...))
	answer := fmt.Appendf(nil, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	s.kind[fd] = websocket
	s.seats = append(s.seats, int32(fd))
	s.write(fd, append(answer, welcome...))
}

// send writes one event to every client and then answers its sender.
func (s *server) send(fd int, request []byte) {
	_, body, _ := bytes.Cut(request, []byte("\r\n\r\n"))
	var e publish.Event
	status := "200 OK"
	switch {
	case json.Unmarshal(body, &e) != nil:
		status = "400 Bad Request"
	case !publish.Valid(s.secret, e.Payload, string(header(request, "Authorization: "))):
		status = "401 Unauthorized"
	default:
		name, _ := json.Marshal(e.Event)
		f := frame(fmt.Appendf(nil, "42[%s,%s]", name, e.Payload))
		for _, seat := range s.seats {
			s.write(int(seat), f)
		}
	}
	s.write(fd, []byte("HTTP/1.1 "+status+"\r\nContent-Length: 0\r\n\r\n"))
}

// write is the one write(2). A socket that is full is waited for: a floor for the
// cost of deliveries loses none.
func (s *server) write(fd int, b []byte) {
	for len(b) > 0 {
		n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		switch errno {
		case 0:
			b = b[n:]
		case syscall.EINTR:
		case syscall.EAGAIN:
			waitWritable(fd)
		default:
			return // its end is read
		}
	}
}

// waitWritable waits until a socket takes bytes again, for a second at most.
func waitWritable(fd int) {
	const pollOut = 4
	poll := struct {
		fd              int32
		events, revents int16
	}{int32(fd), pollOut, 0}
	second := syscall.Timespec{Sec: 1}
	_, _, _ = syscall.Syscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(&poll)), 1, uintptr(unsafe.Pointer(&second)), 0, 0, 0)
}

// header returns the value of a header that is written as name says, or nil.
func header(request []byte, name string) []byte {
	_, rest, found := bytes.Cut(request, []byte(name))
	if !found {
		return nil
	}
	value, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return value
}

// frame makes a text frame of RFC 6455, section 5.2.
func frame(payload []byte) []byte {
	f := []byte{0x81}
	switch n := len(payload); {
	case n < 126:
		f = append(f, byte(n))
	case n < 1<<16:
		f = append(f, 126, byte(n>>8), byte(n))
	default:
		panic("frame of " + strconv.Itoa(n) + " bytes")
	}
	return append(f, payload...)
}
