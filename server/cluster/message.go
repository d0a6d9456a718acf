package cluster

import (
	"strconv"
	"strings"
)

// What comes over a subscription is told apart by its first byte: a digit for a frame, and a
// letter for what scripts answer, with netstrings behind it ("3:abc").

// maxNumber is what fits a [hub.Position], and what Lua counts exactly.
const maxNumber = 1<<50 - 1

// A frame is an envelope with its place in the log of its partition: "epoch number envelope".
type frame struct {
	epoch, number uint64
	envelope      string
}

func parseFrame(text string) (f frame, ok bool) {
	if f.epoch, text, ok = cutNumber(text); !ok || f.epoch == 0 {
		return frame{}, false
	}
	if f.number, text, ok = cutNumber(text); !ok {
		return frame{}, false
	}
	f.envelope = text
	return f, true
}

// isPublished reports that a text is a frame of a publication, or of no use, and none of who came and went. It does not
// read the place.
func isPublished(text string) bool {
	if text == "" || text[0] < '0' || text[0] > '9' {
		return false
	}
	_, rest, _ := strings.Cut(text, " ")
	_, envelope, ok := strings.Cut(rest, " ")
	return ok && envelope != "" && envelope[0] != letterNews
}

// cutNumber takes a number and the blank behind it.
func cutNumber(text string) (n uint64, rest string, ok bool) {
	digits, rest, found := strings.Cut(text, " ")
	if !found {
		return 0, "", false
	}
	n, ok = parseNumber(digits)
	return n, rest, ok
}

// parseNumber reads a number as the scripts write it.
func parseNumber(digits string) (uint64, bool) {
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil && n <= maxNumber
}

// A fence is the answer to a request that stands among the frames.
type fence struct {
	request       uint64
	epoch, number uint64 // where the log was
	// Of the log before it: its epoch, 0 for none, and how far a node has had it.
	before, reached uint64
}

// letterFence begins one.
const letterFence = 'F'

func parseFence(text string) (f fence, ok bool) {
	if text == "" || text[0] != letterFence {
		return f, false
	}
	text = text[1:]
	for _, at := range []*uint64{&f.request, &f.epoch, &f.number, &f.before, &f.reached} {
		var field string
		if field, text, ok = cutNetstring(text); !ok {
			return fence{}, false
		}
		if field == "" && at == &f.before {
			continue
		}
		if *at, ok = parseNumber(field); !ok {
			return fence{}, false
		}
	}
	return f, f.epoch != 0
}

// text is f as the script writes it.
func (f fence) text() string {
	b := []byte{letterFence}
	for _, n := range []uint64{f.request, f.epoch, f.number, f.before, f.reached} {
		digits := strconv.FormatUint(n, 10)
		b = append(strconv.AppendInt(b, int64(len(digits)), 10), ':')
		b = append(b, digits...)
	}
	return string(b)
}

// netstring writes what [cutNetstring] takes.
func netstring(text string) string { return strconv.Itoa(len(text)) + ":" + text }

// cutNetstring takes a netstring without the comma at its end, as the scripts write them.
func cutNetstring(text string) (field, rest string, ok bool) {
	digits, rest, found := strings.Cut(text, ":")
	if !found || len(digits) > 9 {
		return "", "", false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || n > uint64(len(rest)) {
		return "", "", false
	}
	return rest[:n], rest[n:], true
}

// epochOf is the epoch of a frame or fence; 0 for anything else.
func epochOf(text string) uint64 {
	if f, ok := parseFrame(text); ok {
		return f.epoch
	}
	f, _ := parseFence(text)
	return f.epoch
}

// A news is a frame of who came and went, in the place of an envelope: "P", a letter for what it is, and
// netstrings.
type news struct {
	kind                          byte
	app, room, user, info, socket string // as many of them as the kind has
}

// The kinds of news.
const (
	letterNews = 'P'

	newsCame     = 'C'
	newsWent     = 'W'
	newsOccupied = 'O'
	newsVacated  = 'V'

	// newsUntold is in the place of info for who went before the applications were told that it came.
	newsUntold = "u"
)

// parseNews reads one. A later version may have further fields, and kinds.
func parseNews(text string) (n news, ok bool) {
	if len(text) < 2 || text[0] != letterNews {
		return n, false
	}
	n.kind, text = text[1], text[2:]
	for _, at := range []*string{&n.app, &n.room, &n.user, &n.info, &n.socket} {
		if text == "" {
			break
		}
		if *at, text, ok = cutNetstring(text); !ok {
			return news{}, false
		}
	}
	return n, true
}
