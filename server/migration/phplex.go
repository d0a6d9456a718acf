package migration

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// phpKind is a kind of token.
type phpKind int

const (
	phpEnd    phpKind = iota
	phpString         // text without its quotes
	phpNumber
	phpName  // of a constant, function or class, with \ and :: in it; or a variable with $
	phpSign  // =>, or any one other character
	phpOther // what would have to be run, such as a text with variables in it
)

type phpToken struct {
	kind phpKind
	text string
	line int
}

// maxTokens bounds a file.
const maxTokens = 100_000

var (
	phpNumberForm = regexp.MustCompile(`^(?:0[xX][0-9a-fA-F_]+|[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?|\.[0-9][0-9_]*)`)
	phpNameForm   = regexp.MustCompile(`^(?:\$|\\)?[A-Za-z_\x{80}-\x{10ffff}][\w\x{80}-\x{10ffff}]*(?:(?:\\|::\$?)[A-Za-z_\x{80}-\x{10ffff}][\w\x{80}-\x{10ffff}]*)*`)
)

// lexPHP takes a file apart. Its first token is behind <?php; the last is phpEnd.
func lexPHP(text string) ([]phpToken, error) {
	at := strings.Index(text, "<?")
	if at < 0 {
		return nil, fmt.Errorf("line 1: want <?php")
	}
	at += len("<?")
	if strings.HasPrefix(strings.ToLower(text[at:]), "php") {
		at += len("php")
	}
	x := &phpLexer{text: text, at: at, line: 1 + strings.Count(text[:at], "\n")}
	for {
		if err := x.blanks(); err != nil {
			return nil, err
		}
		if x.at >= len(text) || strings.HasPrefix(text[x.at:], "?>") {
			x.add(phpEnd, 0, "")
			return x.tokens, nil
		}
		if len(x.tokens) == maxTokens {
			return nil, fmt.Errorf("line %d: more than %d words", x.line, maxTokens)
		}
		if err := x.token(); err != nil {
			return nil, err
		}
	}
}

type phpLexer struct {
	text   string
	at     int
	line   int
	tokens []phpToken
}

// add adds a token that is size bytes long in the file.
func (x *phpLexer) add(kind phpKind, size int, text string) {
	x.tokens = append(x.tokens, phpToken{kind, text, x.line})
	x.line += strings.Count(x.text[x.at:x.at+size], "\n")
	x.at += size
}

// blanks skips blanks and comments.
func (x *phpLexer) blanks() error {
	for x.at < len(x.text) {
		rest := x.text[x.at:]
		size := 0
		switch {
		case strings.ContainsRune(" \t\r\n\f\v", rune(rest[0])):
			size = 1
		case strings.HasPrefix(rest, "//"), rest[0] == '#' && !strings.HasPrefix(rest, "#["):
			if size = strings.IndexByte(rest, '\n'); size < 0 {
				size = len(rest)
			}
			if end := strings.Index(rest[:size], "?>"); end >= 0 { // PHP ends there, in a comment too
				size = end
				x.at += size
				return nil
			}
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				return fmt.Errorf("line %d: a comment has no end", x.line)
			}
			size = 2 + end + 2
		default:
			return nil
		}
		x.line += strings.Count(rest[:size], "\n")
		x.at += size
	}
	return nil
}

func (x *phpLexer) token() error {
	rest := x.text[x.at:]
	switch {
	case rest[0] == '\'' || rest[0] == '"':
		return x.quoted(rest)
	case strings.HasPrefix(rest, "<<<"):
		return fmt.Errorf("line %d: has a text of several lines (<<<), which is not read", x.line)
	case strings.HasPrefix(rest, "=>"):
		x.add(phpSign, 2, "=>")
	default:
		if number := phpNumberForm.FindString(rest); number != "" {
			x.add(phpNumber, len(number), number)
		} else if name := phpNameForm.FindString(rest); name != "" {
			x.add(phpName, len(name), name)
		} else {
			_, size := utf8.DecodeRuneInString(rest)
			x.add(phpSign, size, rest[:size])
		}
	}
	return nil
}

// quoted reads a text in quotes. One with a variable in it is none.
func (x *phpLexer) quoted(rest string) error {
	quote := rest[0]
	var b strings.Builder
	kind := phpString
	for i := 1; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == quote:
			x.add(kind, i+1, b.String())
			return nil
		case c == '\\' && i+1 < len(rest):
			i++
			b.WriteString(phpEscape(quote, rest[i]))
		case c == '$' && quote == '"':
			kind = phpOther
		default:
			b.WriteByte(c)
		}
	}
	return fmt.Errorf("line %d: a text has no end", x.line)
}

// phpEscape is what a backslash and a character stand for.
func phpEscape(quote, c byte) string {
	if c == '\\' || c == quote {
		return string(c)
	}
	if quote == '"' {
		switch c {
		case 'n':
			return "\n"
		case 't':
			return "\t"
		case 'r':
			return "\r"
		case '$':
			return "$"
		}
	}
	return `\` + string(c)
}
