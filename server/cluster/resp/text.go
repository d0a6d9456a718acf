package resp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

var (
	errReturn   = errors.New(`resp: a \r without \n in a line`)
	errLonger   = errors.New("resp: a text goes on where its length says that it ends")
	errStreamed = errors.New("resp: a text or aggregate whose length is told at its end")
	errFormat   = errors.New("resp: a verbatim text without its format")
)

// A partial is a text whose end is still to come. The zero partial is none.
type partial struct {
	open bool
	kind Kind
	size int             // what it is to have, in bytes
	text strings.Builder // what has come of it
	end  int             // how many bytes of \r\n have come
}

// add adds data to the text as far as it goes, and says whether it is whole with it and what is behind it.
func (p *partial) add(data []byte) (whole bool, rest []byte, err error) {
	n := min(len(data), p.size-p.text.Len())
	p.grow(n)
	p.text.Write(data[:n])
	rest = data[n:]
	for p.text.Len() == p.size && p.end < len("\r\n") && len(rest) > 0 {
		if rest[0] != "\r\n"[p.end] {
			return false, rest, errLonger
		}
		p.end++
		rest = rest[1:]
	}
	return p.end == len("\r\n"), rest, nil
}

// grow makes room for n more bytes: twice what has come, and in the end no more than the text has, since it is handed
// out as it stands here.
func (p *partial) grow(n int) {
	if p.text.Cap()-p.text.Len() >= n {
		return
	}
	begun := p.text.String()
	p.text.Reset()
	p.text.Grow(min(p.size, 2*(len(begun)+n)))
	p.text.WriteString(begun)
}

// scalar makes a value of a line that is all of it.
func scalar(kind Kind, line []byte) (Value, error) {
	switch kind {
	case Simple, Error:
		return Value{Kind: kind, Text: word(line)}, nil
	case Double, BigNumber:
		if len(line) > 0 { // whether it is one says who wants the number
			return Value{Kind: kind, Text: string(line)}, nil
		}
	case Int:
		if n, err := strconv.ParseInt(string(line), 10, 64); err == nil {
			return Value{Kind: Int, Text: decimal(n, line), Int: n}, nil
		}
	case Null:
		if len(line) == 0 {
			return Value{Kind: Null}, nil
		}
	case Bool:
		switch string(line) {
		case "t":
			return Value{Kind: Bool, Text: "t", Int: 1}, nil
		case "f":
			return Value{Kind: Bool, Text: "f"}, nil
		}
	default:
		return Value{}, fmt.Errorf("resp: %q is no kind of value", byte(kind))
	}
	return Value{}, fmt.Errorf("resp: %.40q is no %s", line, kind)
}

// decimal is string(line), n as it stands on the wire, without making one of a small number.
func decimal(n int64, line []byte) string {
	if n >= 0 && n < 100 {
		if text := strconv.FormatInt(n, 10); text == string(line) { // which has those ready
			return text
		}
	}
	return string(line)
}

// number reads a length or count, up to most.
func number(line []byte, most int64) (int64, error) {
	if string(line) == "?" {
		return 0, errStreamed
	}
	var n int64
	for _, c := range line {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("resp: %.40q is no length", line)
		}
		if n = 10*n + int64(c-'0'); n > most {
			return 0, fmt.Errorf("resp: a length of %.40q, and %d is the most", line, most)
		}
	}
	if len(line) == 0 {
		return 0, errors.New("resp: a length is missing")
	}
	return n, nil
}
