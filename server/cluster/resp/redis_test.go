package resp

import (
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"poosh/server/cluster/redistest"
)

// A speaker is a connection to a real server.
type speaker struct {
	net.Conn
	decoder Decoder
	buffer  []byte
}

func dial(t *testing.T, addr string, buffer int) *speaker {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	s := &speaker{Conn: conn, buffer: make([]byte, buffer)}
	hello := s.ask(t, 1, "HELLO", "3")[0]
	if i := slices.IndexFunc(hello.List, func(v Value) bool { return v.Text == "proto" }); hello.Kind != Map || i < 0 || hello.List[i+1].Int != 3 {
		t.Fatalf("HELLO 3: %v", hello)
	}
	return s
}

// ask sends a command, and waits for so many values.
func (s *speaker) ask(t *testing.T, count int, args ...string) (values []Value) {
	t.Helper()
	if _, err := s.Write(AppendCommand(nil, args...)); err != nil {
		t.Fatal(err)
	}
	for len(values) < count {
		n, err := s.Read(s.buffer)
		if err == nil {
			err = s.decoder.Feed(s.buffer[:n], func(v Value) { values = append(values, v) })
		}
		if err != nil {
			t.Fatalf("%.200q: %v after %v", args, err, values)
		}
	}
	return values
}

// A real server is understood, all that it says between HELLO 3 and the end.
func TestRedis(t *testing.T) {
	redis := redistest.Start(t, "--enable-debug-command", "yes")
	large := strings.Repeat("large\r\n", 1<<17)
	text := func(s string) Value { return Value{Kind: Bulk, Text: s} }
	number := func(n string) Value { return one(t, ":"+n+"\r\n") }
	rows := []struct {
		args []string
		want []Value
	}{
		{[]string{"PING"}, []Value{{Kind: Simple, Text: "PONG"}}},
		{[]string{"SET", "large", large}, []Value{{Kind: Simple, Text: "OK"}}},
		{[]string{"GET", "large"}, []Value{text(large)}},
		{[]string{"GET", "none"}, []Value{{Kind: Null}}},
		{[]string{"MGET", "none", "large"}, []Value{{Kind: Array, List: []Value{{Kind: Null}, text(large)}}}},
		{[]string{"NONE", "a\r\nb"}, []Value{{Kind: Error, Text: "ERR unknown command 'NONE', with args beginning with: 'a  b' "}}},
		{[]string{"EVAL", "return {1, 'a', {2, {}, {'b', false, 'c'}}, {err = 'MINE of a script'}, {ok = 'fine'}}", "0"}, []Value{{Kind: Array, List: []Value{
			number("1"), text("a"), {Kind: Array, List: []Value{number("2"), {Kind: Array}, {Kind: Array, List: []Value{text("b"), {Kind: Null}, text("c")}}}},
			{Kind: Error, Text: "MINE of a script"}, {Kind: Simple, Text: "fine"}}}}},
		{[]string{"EVAL", "redis.setresp(3); return {{double = 1.5}, true, {map = {a = 1}}, {set = {b = true}}, {verbatim_string = {format = 'txt', string = 'c'}}, {big_number = '-12'}}", "0"},
			[]Value{{Kind: Array, List: []Value{{Kind: Double, Text: "1.5"}, {Kind: Bool, Text: "t", Int: 1}, {Kind: Map, List: []Value{text("a"), number("1")}},
				{Kind: Set, List: []Value{text("b")}}, {Kind: Verbatim, Text: "c"}, {Kind: BigNumber, Text: "-12"}}}}},
		{[]string{"EVAL", "return redis.error_reply('MINE as a whole')", "0"}, []Value{{Kind: Error, Text: "MINE as a whole"}}},
		{[]string{"EVALSHA", strings.Repeat("0", 40), "0"}, []Value{{Kind: Error, Text: "NOSCRIPT No matching script. Please use EVAL."}}},
		{[]string{"HSET", "hash", "a", "1", "b", ""}, []Value{number("2")}},
		{[]string{"HGETALL", "hash"}, []Value{{Kind: Map, List: []Value{text("a"), text("1"), text("b"), text("")}}}},
		{[]string{"SADD", "set", "a"}, []Value{number("1")}},
		{[]string{"SMEMBERS", "set"}, []Value{{Kind: Set, List: []Value{text("a")}}}},
		{[]string{"ZADD", "sorted", "2.5", "a"}, []Value{number("1")}},
		{[]string{"ZSCORE", "sorted", "a"}, []Value{{Kind: Double, Text: "2.5"}}},
		{[]string{"DEBUG", "PROTOCOL", "attrib"}, []Value{text("Some real reply following the attribute")}},
		{[]string{"DEBUG", "PROTOCOL", "bignum"}, []Value{{Kind: BigNumber, Text: "1234567999999999999999999999999999999"}}},
		{[]string{"DEBUG", "PROTOCOL", "verbatim"}, []Value{{Kind: Verbatim, Text: "This is a verbatim\nstring"}}},
		{[]string{"DEBUG", "PROTOCOL", "false"}, []Value{{Kind: Bool, Text: "f"}}},
		{[]string{"DEBUG", "PROTOCOL", "null"}, []Value{{Kind: Null}}},
		{[]string{"SSUBSCRIBE", "c"}, []Value{{Kind: Push, List: []Value{text("ssubscribe"), text("c"), number("1")}}}},
		{[]string{"SPUBLISH", "c", "a\r\nb"}, []Value{{Kind: Push, List: []Value{text("smessage"), text("c"), text("a\r\nb")}}, number("1")}},
		{[]string{"SUNSUBSCRIBE"}, []Value{{Kind: Push, List: []Value{text("sunsubscribe"), text("c"), number("0")}}}},
		{[]string{"SUNSUBSCRIBE"}, []Value{{Kind: Push, List: []Value{text("sunsubscribe"), {Kind: Null}, number("0")}}}},
		{[]string{"MULTI"}, []Value{{Kind: Simple, Text: "OK"}}},
		{[]string{"SUBSCRIBE", "d"}, []Value{{Kind: Simple, Text: "QUEUED"}}},
		{[]string{"EXEC"}, []Value{{Kind: Array, List: []Value{{Kind: Push, List: []Value{text("subscribe"), text("d"), number("1")}}}}}},
	}
	for _, size := range []int{64 << 10, 61} {
		redis.Do("FLUSHALL")
		s := dial(t, redis.Addr, size)
		for _, row := range rows {
			if got := s.ask(t, len(row.want), row.args...); !reflect.DeepEqual(got, row.want) {
				t.Errorf("%.200q: %.1000v; want %.1000v", row.args, got, row.want)
			}
		}
	}
}
