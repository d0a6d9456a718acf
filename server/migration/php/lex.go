package php

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// kind is a kind of token.
type kind int

const (
	kindEnd    kind = iota
	kindString      // text without its quotes
	kindNumber
	kindName  // of a constant, function or class, with \ and :: in it; or a variable with $
	kindSign  // =>, or any one other character
	kindOther // what would have to be run, such as a text with variables in it
)

type token struct {
	kind kind
	text string
	line int
}

// maxTokens bounds a file.
const maxTokens = 100_000

var (
	numberForm = regexp.MustCompile(`^(?:0[xX][0-9a-fA-F_]+|[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?|\.[0-9][0-9_]*)`)
	nameForm   = regexp.MustCompile(`^(?:\$|\\)?[A-Za-z_\x{80}-\x{10ffff}][\w\x{80}-\x{10ffff}]*(?:(?:\\|::\$?)[A-Za-z_\x{80}-\x{10ffff}][\w\x{80}-\x{10ffff}]*)*`)
)

// lex takes a file apart. Its first token is behind <?php; the last is kindEnd.
func lex(text string) ([]token, error) {
	at := strings.Index(text, "<?")
	if at < 0 {
		return nil, fmt.Errorf("line 1: want <?php")
	}
	at += len("<?")
	if strings.HasPrefix(strings.ToLower(text[at:]), "php") {
		at += len("php")
	}
	x := &lexer{text: text, at: at, line: 1 + strings.Count(text[:at], "\n")}
	for {
		if err := x.blanks(); err != nil {
			return nil, err
		}
		if x.at >= len(text) || strings.HasPrefix(text[x.at:], "?>") {
			x.add(kindEnd, 0, "")
			return x.tokens, nil
		}
		if len(x.tokens) == maxTokens {
			return nil, fmt.Errorf("line %d: more than %d words", x.line, maxTokens)
		}
		if err := x.next(); err != nil {
			return nil, err
		}
	}
}

type lexer struct {
	text   string
	at     int
	line   int
	tokens []token
}

// add adds a token that is size bytes long in the file.
func (x *lexer) add(what kind, size int, text string) {
	x.tokens = append(x.tokens, token{what, text, x.line})
	x.line += strings.Count(x.text[x.at:x.at+size], "\n")
	x.at += size
}

// blanks skips blanks and comments.
func (x *lexer) blanks() error {
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

func (x *lexer) next() error {
	rest := x.text[x.at:]
	switch {
	case rest[0] == '\'' || rest[0] == '"':
		return x.quoted(rest)
	case strings.HasPrefix(rest, "<<<"):
		return fmt.Errorf("line %d: has a text of several lines (<<<), which is not read", x.line)
	case strings.HasPrefix(rest, "=>"):
		x.add(kindSign, 2, "=>")
	default:
		if digits := numberForm.FindString(rest); digits != "" {
			x.add(kindNumber, len(digits), digits)
		} else if name := nameForm.FindString(rest); name != "" {
			x.add(kindName, len(name), name)
		} else {
			_, size := utf8.DecodeRuneInString(rest)
			x.add(kindSign, size, rest[:size])
		}
	}
	return nil
}

// quoted reads a text in quotes. One with a variable in it is none.
func (x *lexer) quoted(rest string) error {
	quote := rest[0]
	var b strings.Builder
	what := kindString
	for i := 1; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == quote:
			x.add(what, i+1, b.String())
			return nil
		case c == '\\' && i+1 < len(rest):
			i++
			b.WriteString(escaped(quote, rest[i]))
		case c == '$' && quote == '"':
			what = kindOther
		default:
			b.WriteByte(c)
		}
	}
	return fmt.Errorf("line %d: a text has no end", x.line)
}

// escaped is what a backslash and a character stand for.
func escaped(quote, c byte) string {
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
