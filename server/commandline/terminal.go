package commandline

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A style is how texts look on a terminal that shows colours. Elsewhere it does nothing.
type style struct{ on bool }

// styleOf is the style of what is written to w. NO_COLOR, if it is not empty, turns
// colours off (no-color.org), and so does a terminal that calls itself dumb.
func styleOf(w io.Writer) style {
	return style{isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (s style) paint(code, text string) string {
	if !s.on || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

func (s style) bold(text string) string   { return s.paint("1", text) }
func (s style) dim(text string) string    { return s.paint("2", text) }
func (s style) red(text string) string    { return s.paint("31", text) }
func (s style) green(text string) string  { return s.paint("32", text) }
func (s style) yellow(text string) string { return s.paint("33", text) }

// printable makes a text of strangers one that cannot act on a terminal, and stays on
// its line: what cannot be seen is written as an escape, and so is a broken byte.
func printable(text string) string { return escape(text, `\u{%x}`) }

// printableJSON is printable for JSON, which means the same afterwards: between its
// texts there is nothing that is escaped.
func printableJSON(text []byte) string { return escape(string(text), `\u%04x`) }

func escape(text, form string) string {
	if isPrintable(text) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && n == 1:
			b.WriteString("\ufffd")
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xffff && form == `\u%04x`: // JSON has UTF-16
			r -= 0x10000
			fmt.Fprintf(&b, form+form, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			fmt.Fprintf(&b, form, r)
		}
		text = text[n:]
	}
	return b.String()
}

func isPrintable(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

// A progress is a line on a terminal that says how far something is, and is gone when it
// is done. Elsewhere there is none.
type progress struct {
	w  io.Writer
	on bool
}

func progressOn(w io.Writer) *progress { return &progress{w, styleOf(w).on} }

func (p *progress) say(format string, args ...any) {
	if p.on {
		fmt.Fprintf(p.w, "\r\x1b[K"+format, args...)
	}
}

func (p *progress) done() {
	if p.on {
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}

// tick says every half a second how far something is, until what it returns is called,
// which may be done again, or ctx ends.
func (p *progress) tick(ctx context.Context, text func(since time.Duration) string) (stop func()) {
	if !p.on {
		return func() {}
	}
	began := time.Now()
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() { // ends with ctx
		defer close(ended)
		ticker := time.NewTicker(time.Second / 2)
		defer ticker.Stop()
		for {
			p.say("%s", text(time.Since(began)))
			select {
			case <-ticker.C:
			case <-ctx.Done():
				p.done()
				return
			}
		}
	}()
	return func() {
		cancel()
		<-ended
	}
}
