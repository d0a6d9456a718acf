package passing

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"
	"strconv"
	"time"
)

// skew is how far clocks of two nodes may be apart.
const skew = time.Minute

// Kinds of connections between nodes.
const (
	kindLink      = "link"
	kindWebSocket = "websocket"
)

// helloPath is what one node asks another for, in HTTP/1.1.
const helloPath = "/poosh/passing/1"

const (
	maxHelloHead = 4 << 10
	maxHelloBody = 96 << 10 // a head of 16 KB, and what may have come behind it
	nonceSize    = 16
)

// A hello is how a connection between two nodes begins.
type hello struct {
	kind     string
	from, to string // nodes
	port     string // of a WebSocket: the setting
	remote   string // and the client
	at       int64  // Unix time in milliseconds
	nonce    string // in hex
	body     []byte // of a WebSocket: the client's request, and what came behind it
}

func newNonce() string {
	var b [nonceSize]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// signature is over all of a hello.
func (h *hello) signature(secret string) []byte {
	return sign(secret, "hello", h.kind, h.from, h.to, h.port, h.remote, strconv.FormatInt(h.at, 10), h.nonce, string(h.body))
}

// sign returns the HMAC-SHA256 of texts, each with its length, so that none can be taken for a part of
// another one.
func sign(secret string, texts ...string) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	var size [8]byte
	for _, t := range texts {
		binary.BigEndian.PutUint64(size[:], uint64(len(t)))
		mac.Write(size[:])
		_, _ = io.WriteString(mac, t)
	}
	return mac.Sum(nil)
}

// write appends the hello to dst as a request.
func (h *hello) write(dst []byte, secret string) []byte {
	dst = append(dst, "POST "+helloPath+" HTTP/1.1\r\nHost: "+h.to+"\r\nConnection: Upgrade\r\nUpgrade: poosh\r\n"...)
	for _, f := range [...][2]string{{"Kind", h.kind}, {"From", h.from}, {"Port", h.port}, {"Client", h.remote},
		{"Time", strconv.FormatInt(h.at, 10)}, {"Nonce", h.nonce}, {"Signature", hex.EncodeToString(h.signature(secret))}} {
		dst = append(dst, "Poosh-"+f[0]+": "+f[1]+"\r\n"...)
	}
	dst = append(dst, "Content-Length: "+strconv.Itoa(len(h.body))+"\r\n\r\n"...)
	return append(dst, h.body...)
}

var errHello = errors.New("not a request of a node")

// readHello reads one, with its signature, which is yet to be looked at. r gives up by a deadline.
func readHello(r *bufio.Reader) (h *hello, signature []byte, err error) {
	head, err := readHead(r)
	if err != nil {
		return nil, nil, err
	}
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(head))) //nolint:bodyclose // it is read below
	if err != nil || req.Method != http.MethodPost || req.RequestURI != helloPath || req.ContentLength < 0 || req.ContentLength > maxHelloBody || len(req.TransferEncoding) > 0 {
		return nil, nil, errHello
	}
	f := func(name string) string { return req.Header.Get("Poosh-" + name) }
	h = &hello{kind: f("Kind"), from: f("From"), to: req.Host, port: f("Port"), remote: f("Client"), nonce: f("Nonce")}
	if h.at, err = strconv.ParseInt(f("Time"), 10, 64); err != nil || len(h.nonce) != 2*nonceSize {
		return nil, nil, errHello
	}
	if signature, err = hex.DecodeString(f("Signature")); err != nil || len(signature) != sha256.Size {
		return nil, nil, errHello
	}
	h.body = make([]byte, req.ContentLength)
	if _, err := io.ReadFull(r, h.body); err != nil {
		return nil, nil, errHello
	}
	return h, signature, nil
}

// readHead reads a head of HTTP/1.1 and not a byte behind it.
func readHead(r *bufio.Reader) (head []byte, err error) {
	for {
		line, err := r.ReadSlice('\n')
		if head = append(head, line...); err != nil || len(head) > maxHelloHead {
			return nil, errHello
		}
		if len(bytes.TrimRight(line, "\r\n")) == 0 {
			return head, nil
		}
	}
}

// judge says whether a hello is one of a node that may ask this one, and if not why.
func (n *Node) judge(h *hello, signature []byte, now time.Time) (refusal, bool) {
	switch off := now.Sub(time.UnixMilli(h.at)); {
	case !hmac.Equal(signature, h.signature(n.opt.Secret())):
		return refusedSignature, false
	case h.to != n.opt.Name:
		return refusedTarget, false
	case off > skew || off < -skew:
		return refusedTime, false
	case h.kind == kindLink && len(h.body) > 0, h.kind != kindLink && h.kind != kindWebSocket:
		return refusedRequest, false
	}
	return n.seen.add(h.from, h.nonce, now)
}

// keys are those of one link: for what its caller says, and for what is answered.
func keys(secret, from, to, nonce, answered string) (asks, answers []byte) {
	return sign(secret, "asks", from, to, nonce, answered), sign(secret, "answers", from, to, nonce, answered)
}

// proof shows a caller that who answers has the secret too.
func proof(secret, from, to, nonce, answered string) string {
	return hex.EncodeToString(sign(secret, "proof", from, to, nonce, answered))
}

// macSize is how much of each frame's HMAC is sent: half, RFC 2104, section 5.
const macSize = 16

// A seal makes or checks the HMACs of one direction of a link. It belongs to one goroutine at a time.
type seal struct {
	mac  hash.Hash
	next uint64 // place of the next frame
	sum  []byte
}

func newSeal(key []byte) *seal {
	return &seal{mac: hmac.New(sha256.New, key), sum: make([]byte, 0, sha256.Size)}
}

// of returns the HMAC of the next frame; it is valid until the next call.
func (s *seal) of(frame []byte) []byte {
	var place [8]byte
	binary.BigEndian.PutUint64(place[:], s.next)
	s.next++
	s.mac.Reset()
	s.mac.Write(place[:])
	s.mac.Write(frame)
	s.sum = s.mac.Sum(s.sum[:0])
	return s.sum[:macSize]
}

func (s *seal) fits(frame, mac []byte) bool { return subtle.ConstantTimeCompare(s.of(frame), mac) == 1 }
