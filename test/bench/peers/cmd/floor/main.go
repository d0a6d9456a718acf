// Floor does the least a push server can do with one write for each delivery: one
// thread waits for all sockets, and an event is one ready frame that is written
// to each socket in turn. It speaks just enough Engine.IO 3 for the benchmark's
// clients, and checks the token as the others do.
//
// It is no server to run: it trusts its clients, waits for slow ones, and takes it
// that each frame of theirs arrives in one piece.
package main

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net"
	"runtime"
	"slices"
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
	rooms   map[string][]int32 // descriptors of WebSockets
	pending [][]byte           // of a sender, what has come of a request
	buf     []byte
}

// kind says what a descriptor is.
type kind uint8

const (
	unknown   kind = iota
	newcomer       // has not asked for its WebSocket
	websocket      // may be in rooms
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
	s := &server{
		secret: cfg.Secret, epoll: epoll, rooms: make(map[string][]int32), buf: make([]byte, bufferSize),
		kind: make([]kind, maxDescriptors), pending: make([][]byte, maxDescriptors),
	}
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
		s.request(fd, s.buf[:n])
	case websocket:
		s.frames(fd, s.buf[:n])
	}
}

// request takes what has come of a sender's request, and sends when it is whole.
func (s *server) request(fd int, b []byte) {
	if len(s.pending[fd]) > 0 {
		b = append(s.pending[fd], b...)
	}
	head, body, found := bytes.Cut(b, []byte("\r\n\r\n"))
	size, err := strconv.Atoi(string(header(head, "Content-Length: ")))
	if !found || err == nil && len(body) < size {
		s.pending[fd] = append(s.pending[fd][:0], b...)
		return
	}
	s.pending[fd] = s.pending[fd][:0]
	s.send(fd, head, body)
}

// frames takes what a client says, in masked frames of less than 126 bytes.
func (s *server) frames(fd int, b []byte) {
	const head = 6
	for len(b) >= head {
		size := int(b[1] & 0x7f)
		if len(b) < head+size {
			return
		}
		text := b[head : head+size]
		for i := range text {
			text[i] ^= b[2+i&3]
		}
		s.message(fd, text)
		b = b[head+size:]
	}
}

func (s *server) message(fd int, text []byte) {
	if string(text) == "2" {
		s.write(fd, pong)
		return
	}
	event, found := bytes.CutPrefix(text, []byte("42"))
	var call []string
	if !found || json.Unmarshal(event, &call) != nil || len(call) != 2 {
		return
	}
	switch call[0] {
	case "room":
		s.rooms[call[1]] = append(s.rooms[call[1]], int32(fd))
		s.write(fd, frame([]byte(`42["joined","`+call[1]+`"]`)))
	case "leave":
		s.leave(fd, call[1])
	}
}

// leave takes a client out of a room.
func (s *server) leave(fd int, name string) {
	seats := s.rooms[name]
	i := slices.Index(seats, int32(fd))
	if i < 0 {
		return
	}
	seats[i] = seats[len(seats)-1]
	if s.rooms[name] = seats[:len(seats)-1]; len(seats) == 1 {
		delete(s.rooms, name)
	}
}

func (s *server) close(fd int) {
	if s.kind[fd] == websocket {
		for name := range s.rooms {
			s.leave(fd, name)
		}
	}
	s.kind[fd], s.pending[fd] = unknown, nil
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
	s.write(fd, append(answer, welcome...))
}

// send writes one event to every client of its room and then answers its sender.
func (s *server) send(fd int, head, body []byte) {
	var e publish.Event
	status := "200 OK"
	switch {
	case json.Unmarshal(body, &e) != nil:
		status = "400 Bad Request"
	case !publish.Valid(s.secret, e.Payload, string(header(head, "Authorization: "))):
		status = "401 Unauthorized"
	default:
		name, _ := json.Marshal(e.Event)
		f := frame(fmt.Appendf(nil, "42[%s,%s]", name, e.Payload))
		for _, seat := range s.rooms[e.Room] {
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
		f = binary.BigEndian.AppendUint64(append(f, 127), uint64(n))
	}
	return append(f, payload...)
}
