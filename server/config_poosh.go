package server

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf16"

	"poosh/auth"
)

// A PooshConfig holds what belongs to POST /send and its clients alone.
type PooshConfig struct {
	ClientPort int    // CLIENT_PORT: where socket.io clients connect; AnyPort for any
	ServerPort int    // SERVER_PORT: where POST /send is taken; AnyPort for any
	Secret     string // SERVER_SECRET: what senders sign with; empty leaves Poosh out

	ClientOrigins []string // CLIENT_ORIGINS: of pages that may connect to CLIENT_PORT; "*" for all

	MaxBodyBytes     int // MAX_BODY_BYTES: one body of POST /send, decompressed
	MaxRooms         int // MAX_ROOMS: that one connection may join
	MaxRoomNameBytes int // MAX_ROOM_NAME_BYTES: UTF-8 bytes of a room's name
}

// minSecret is the least length of a secret in UTF-16 units, as the Node server
// counted them.
const minSecret = 10

// missingSecret goes with a missing SERVER_SECRET when no dialect is on.
const missingSecret = "is not set: you must set it in the .env file or in the environment, at least 10 characters"

// growth is by how much an event may be larger on the wire than in its body: a
// broken byte becomes U+FFFD and is written as the six characters \ufffd.
const growth = 6

// frameBytes is room for what an event has around it on the wire.
const frameBytes = 64

var pooshSettings = group{
	title: "Poosh",
	settings: []setting{
		{name: "CLIENT_PORT", def: "8000", help: "Port that socket.io clients connect to",
			field: portNumber(func(c *Config) *int { return &c.Poosh.ClientPort }), emptyWrong: true},
		{name: "SERVER_PORT", def: "1337", help: "Port that takes POST /send",
			field: portNumber(func(c *Config) *int { return &c.Poosh.ServerPort }), emptyWrong: true},
		{name: "SERVER_SECRET", help: "Shared secret that senders sign with: at least 10 characters, required",
			field: secret(func(c *Config) *string { return &c.Poosh.Secret }), secret: true},
		{name: "CLIENT_ORIGINS", def: "*", help: "Origins of pages that may connect to CLIENT_PORT, such as https://example.com, with commas between; * for all. Programs that are no browsers name none and are let in",
			field: originList(func(c *Config) *[]string { return &c.Poosh.ClientOrigins })},
		{name: "MAX_BODY_BYTES", def: "102400", help: "Bytes of one body of POST /send after decompression; more is answered 413",
			field: size(func(c *Config) *int { return &c.Poosh.MaxBodyBytes }, "1KiB", "64MiB")},
		{name: "MAX_ROOMS", def: "200", help: "Rooms that one connection may join; more closes it",
			field: count(func(c *Config) *int { return &c.Poosh.MaxRooms }, 1, 1_000_000)},
		{name: "MAX_ROOM_NAME_BYTES", def: "512", help: "Bytes of the name of a room that is joined",
			field: size(func(c *Config) *int { return &c.Poosh.MaxRoomNameBytes }, "16", "64KiB")},
	},
	on:   func(c *Config) bool { return c.Poosh.Secret != "" },
	warn: func(c *Config) []string { return shortSecret("SERVER_SECRET", c.Poosh.Secret) },
	check: func(c *Config, m *mistakes) {
		if c.Poosh.ClientPort == c.Poosh.ServerPort && c.Poosh.ServerPort != AnyPort && !m.has("CLIENT_PORT", "SERVER_PORT") {
			m.add("SERVER_PORT", "is %d: want another port than CLIENT_PORT", c.Poosh.ServerPort)
		}
		if least := growth*c.Poosh.MaxBodyBytes + frameBytes; c.Network.OutboxBytes < least && !m.has("OUTBOX_BYTES", "MAX_BODY_BYTES") {
			m.add("OUTBOX_BYTES", "is %d: want at least %d, so that one event of MAX_BODY_BYTES fits", c.Network.OutboxBytes, least)
		}
		if c.SocketIO.MaxPacketBytes < c.Poosh.MaxRoomNameBytes+frameBytes && !m.has("MAX_PACKET_BYTES", "MAX_ROOM_NAME_BYTES") {
			m.add("MAX_PACKET_BYTES", "is %d: want at least %d, so that a room's name of MAX_ROOM_NAME_BYTES fits",
				c.SocketIO.MaxPacketBytes, c.Poosh.MaxRoomNameBytes+frameBytes)
		}
	},
}

// secret is a field for SERVER_SECRET. Blanks alone are no secret, as in the Node
// server; others belong to it.
func secret(at func(*Config) *string) field {
	return place[string]{at, func(text string) (string, error) {
		if strings.TrimFunc(text, isJSSpace) == "" {
			return "", errors.New(missingSecret)
		}
		text = string(auth.ValidUTF8([]byte(text)))
		if len(utf16.Encode([]rune(text))) < minSecret {
			return "", fmt.Errorf("is too short: want at least %d characters", minSecret)
		}
		return text, nil
	}}
}
