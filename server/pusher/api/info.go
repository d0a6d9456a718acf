package api

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"poosh/server/pusher/answer"
	"poosh/server/pusher/protocol"
)

// The attributes of a channel that can be asked for.
const (
	infoUsers       = "user_count"
	infoConnections = "subscription_count"
	infoCache       = "cache"
)

// parseInfo reads a list of attributes with commas between, and returns those of known that
// are in it, each once: what is kept of a request must not be a part of its body. Unknown
// ones are refused in the words that the libraries' tests look for.
func parseInfo(text string, known ...string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	var list []string
	for name := range strings.SplitSeq(text, ",") {
		name = strings.TrimSpace(name)
		i := slices.Index(known, name)
		if i < 0 {
			return nil, answer.Invalid("info should be a comma separated list of attributes, which are %s; %s is none",
				strings.Join(known, ", "), protocol.Shown(name))
		}
		if !slices.Contains(list, name) {
			list = append(list, known[i])
		}
	}
	return list, nil
}

func appendInt(b []byte, n int) []byte { return strconv.AppendInt(b, int64(n), 10) }

// appendCounts appends an object with the counts that were asked for and that the
// channel has: only presence channels count users. An event that asks has been published, so
// nothing is said that has it sent again: counts that nobody can tell are left out. ctx bounds all
// that a request asks: its sender waits, and must not think that nothing was sent.
func (c *call) appendCounts(ctx context.Context, b []byte, channel string, info []string) []byte {
	if len(info) == 0 || ctx.Err() != nil {
		return append(b, "{}"...)
	}
	connections, users, err := c.app.CountAll(ctx, channel)
	if err != nil {
		return append(b, "{}"...)
	}
	if !protocol.KindOf(channel).Presence {
		info = slices.DeleteFunc(slices.Clone(info), func(name string) bool { return name == infoUsers })
	}
	return appendObject(b, info, connections, users)
}

func appendObject(b []byte, info []string, connections, users int) []byte {
	b = append(b, '{')
	for _, name := range info {
		n := connections
		if name == infoUsers {
			n = users
		}
		if b[len(b)-1] != '{' {
			b = append(b, ',')
		}
		b = append(b, `"`+name+`":`...)
		b = appendInt(b, n)
	}
	return append(b, '}')
}

func badChannel(name string) error {
	return answer.Invalid("invalid channel name %s: %s", protocol.Shown(name), protocol.ChannelRule)
}
