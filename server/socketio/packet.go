package socketio

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
)

// Types of engine.io packets, the first character of each.
const (
	engineOpen    = '0'
	engineClose   = '1'
	enginePing    = '2'
	enginePong    = '3'
	engineMessage = '4'
	engineUpgrade = '5'
	engineNoop    = '6'
)

// Types of Socket.IO packets, the first character of each message.
const (
	typeConnect     = '0'
	typeDisconnect  = '1'
	typeEvent       = '2'
	typeAck         = '3'
	typeError       = '4'
	typeBinaryEvent = '5'
	typeBinaryAck   = '6'
)

// Bounds on what a packet may name.
const (
	maxNamespace   = 512
	maxAttachments = 10
	maxArguments   = 64
)

var errPacket = errors.New("malformed packet")

// A message is a Socket.IO packet: socket.io-parser 2.2.4 for 1.x clients, 4.2.4
// for the newest; both write the same.
type message struct {
	kind        byte
	namespace   string // without its query
	attachments int
	ack         Ack
	data        []byte // JSON text; may be empty
}

// parseMessage reads the packet behind the engine.io type. The result refers to
// text.
func parseMessage(text []byte) (m message, err error) {
	if len(text) == 0 || text[0] < typeConnect || text[0] > typeBinaryAck {
		return m, errPacket
	}
	m.kind, m.namespace = text[0], "/"
	text = text[1:]
	if m.kind == typeBinaryEvent || m.kind == typeBinaryAck {
		digits := 0
		for ; digits < len(text) && digits < 3 && isDigit(text[digits]); digits++ {
			m.attachments = m.attachments*10 + int(text[digits]-'0')
		}
		if digits == 0 || digits == len(text) || text[digits] != '-' || m.attachments > maxAttachments {
			return m, errPacket
		}
		text = text[digits+1:]
	}
	if len(text) > 0 && text[0] == '/' {
		name, rest, _ := bytes.Cut(text, []byte{','})
		if len(name) > maxNamespace {
			return m, errPacket
		}
		m.namespace, _, _ = strings.Cut(string(name), "?")
		text = rest
	}
	id := 0
	for ; id < len(text) && isDigit(text[id]); id++ {
	}
	if id > 20 {
		return m, errPacket
	}
	if id > 0 {
		m.ack = Ack(text[:id])
	}
	m.data = text[id:]
	if len(m.data) > 0 && !json.Valid(m.data) {
		return m, errPacket
	}
	return m, nil
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// event returns the name and the arguments' JSON texts of an event. args is
// memory to use for them.
func (m *message) event(args [][]byte) (string, [][]byte, error) {
	args, err := splitArray(m.data, args)
	if err != nil || len(args) == 0 {
		return "", nil, errPacket
	}
	var name string
	if first := args[0][0]; first == '-' || isDigit(first) {
		return string(args[0]), args[1:], nil // socket.io 4 lets numbers be names
	}
	if args[0][0] != '"' || json.Unmarshal(args[0], &name) != nil {
		return "", nil, errPacket
	}
	return name, args[1:], nil
}

// splitArray returns the elements of a valid JSON array as they stand.
func splitArray(text []byte, parts [][]byte) ([][]byte, error) {
	text = bytes.TrimSpace(text)
	if len(text) < 2 || text[0] != '[' {
		return nil, errPacket
	}
	text = text[1 : len(text)-1]
	depth, start, inString := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString:
			if c == '\\' {
				i++
			} else if c == '"' {
				inString = false
			}
		case c == '"':
			inString = true
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			depth--
		case c == ',' && depth == 0:
			if len(parts) == maxArguments {
				return nil, errPacket
			}
			parts = append(parts, bytes.TrimSpace(text[start:i]))
			start = i + 1
		}
	}
	if last := bytes.TrimSpace(text[start:]); len(last) > 0 {
		parts = append(parts, last)
	}
	return parts, nil
}
