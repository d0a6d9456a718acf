// Package resp is RESP3, what a Redis or Valkey server speaks on a connection after HELLO 3, as bytes:
// [AppendCommand] makes commands, and a [Decoder] makes values of what comes. It knows neither sockets nor
// commands, starts no goroutine and takes no lock: whose event loop reads a connection feeds the decoder with it.
//
// # Why
//
// The connections to the engine are read and written within the rounds of poosh/server/loop, which hands
// over what has come and uses its buffer again. The libraries for Redis read by themselves, from a
// connection of their own and with goroutines for it, and none has its codec to be called.
//
// The protocol: https://github.com/redis/redis-specifications/blob/master/protocol/RESP3.md. What is in there and
// no server sends, texts and aggregates whose length is told at their end, is refused.
package resp

import "strconv"

// A Kind is the first byte of a value on the wire.
type Kind byte

// The kinds of values. Array, Map, Set and Push are aggregates: they have other values in them.
const (
	Simple    Kind = '+' // a line, such as OK
	Error     Kind = '-' // what the server refuses, a code and why
	Int       Kind = ':'
	Bulk      Kind = '$' // a text of any bytes
	Array     Kind = '*'
	Null      Kind = '_' // nothing, such as a key that is not there
	Double    Kind = ','
	Bool      Kind = '#'
	BulkError Kind = '!' // an error of any bytes; values have Error instead
	Verbatim  Kind = '=' // a text with a format, such as that of INFO
	Map       Kind = '%'
	Set       Kind = '~'
	Push      Kind = '>' // what nobody asked for, such as a message of a channel
	BigNumber Kind = '('
)

// A Value is one answer, or push. It keeps nothing of the bytes that it was made of, and is never changed: any
// goroutine may read it.
type Value struct {
	Kind Kind    // BulkError is told as Error, and RESP2's nulls ($-1, *-1) as Null
	Text string  // as it stands on the wire, of what is no aggregate; of Verbatim without "txt:" or what is there
	Int  int64   // of Int, and of Bool (1, 0)
	List []Value // of aggregates; of a Map keys and values in turn
}

// AppendCommand appends a command to b, to be sent as it is.
func AppendCommand(b []byte, args ...string) []byte {
	b = AppendHead(b, len(args))
	for _, arg := range args {
		b = AppendArg(b, arg)
	}
	return b
}

// AppendHead appends the beginning of a command with n arguments, its name among them, each of which
// [AppendArg] is to append.
func AppendHead(b []byte, n int) []byte { return appendNumber(b, Array, n) }

// AppendArg appends an argument of a command, of any bytes.
func AppendArg(b []byte, arg string) []byte {
	b = appendNumber(b, Bulk, len(arg))
	b = append(b, arg...)
	return append(b, '\r', '\n')
}

func appendNumber(b []byte, kind Kind, n int) []byte {
	b = strconv.AppendInt(append(b, byte(kind)), int64(n), 10)
	return append(b, '\r', '\n')
}
