package migration

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// maxReferred bounds what the references of a .env may add to it, in bytes.
const maxReferred = 1 << 20

// readEnv reads variables in the form of .env. To Laravel ${NAME} stands for a variable
// above it, unless in single quotes; to the others a $ is a $. What the shell prints for
// export -p is read as the shell would. No error shows a value.
//
// Why our own: godotenv, which server reads with, puts $NAME in too, which none of the
// servers does, and a secret with a $ would come out as another one. Facts:
// vlucas/phpdotenv 5, src/Parser/EntryParser.php; motdotla/dotenv 16, lib/main.js.
func readEnv(text string, laravel bool) (map[string]string, error) {
	r := &envReader{text: text, laravel: laravel, env: make(map[string]string)}
	for r.skip(" \t\r\n"); r.at < len(text); r.skip(" \t\r\n") {
		start := r.at
		if text[start] == '#' {
			r.line()
			continue
		}
		if !r.statement() {
			return nil, fmt.Errorf("line %d: want NAME=value", lineAt(text, start))
		}
		if r.added > maxReferred {
			return nil, errReferences
		}
	}
	return r.env, nil
}

var errReferences = errors.New("its references to variables make it too large")

var (
	envName      = regexp.MustCompile(`^(export[ \t]+)?([A-Za-z0-9_.-]+)[ \t]*`)
	envReference = regexp.MustCompile(`^\$\{([A-Za-z0-9_.]+)\}`)
)

// An envReader is at some place of a text.
type envReader struct {
	text    string
	at      int
	laravel bool
	env     map[string]string // read so far
	added   int               // bytes of the references so far
}

func (r *envReader) skip(letters string) {
	r.at = len(r.text) - len(strings.TrimLeft(r.text[r.at:], letters))
}

// line takes the rest of a line.
func (r *envReader) line() string {
	line, _, _ := strings.Cut(r.text[r.at:], "\n")
	r.at += len(line)
	return line
}

// statement reads NAME=value.
func (r *envReader) statement() bool {
	m := envName.FindStringSubmatch(r.text[r.at:])
	if m == nil {
		return false
	}
	exported := m[1] != ""
	r.at += len(m[0])
	if !strings.HasPrefix(r.text[r.at:], "=") { // export -p shows a variable without a value so
		return exported && strings.TrimSpace(r.line()) == ""
	}
	r.at++
	r.skip(" \t")
	value, ok := "", true
	if r.quoted() {
		value, ok = r.words(exported)
	} else {
		value = r.bare()
	}
	r.env[m[2]] = value
	return ok
}

func (r *envReader) quoted() bool {
	return r.at < len(r.text) && (r.text[r.at] == '"' || r.text[r.at] == '\'')
}

// words reads a text in quotes, of the shell several without a blank between, and what
// may stand behind.
func (r *envReader) words(exported bool) (string, bool) {
	var b strings.Builder
	for first := true; first || exported; first = false {
		if exported && strings.HasPrefix(r.text[r.at:], `\'`) {
			b.WriteByte('\'')
			r.at += 2
		} else if !r.quoted() {
			break
		} else if !r.word(&b, exported) {
			return "", false
		}
	}
	rest := strings.TrimSpace(r.line())
	return b.String(), rest == "" || rest[0] == '#'
}

// word reads one text in quotes.
func (r *envReader) word(b *strings.Builder, exported bool) bool {
	quote := r.text[r.at]
	for r.at++; r.at < len(r.text); {
		switch c := r.text[r.at]; {
		case c == quote:
			r.at++
			return true
		case quote == '"' && c == '\\' && r.at+1 < len(r.text):
			b.WriteString(unescaped(r.text[r.at:r.at+2], exported || r.laravel))
			r.at += 2
		case quote == '"' && c == '$':
			r.refer(b)
		default:
			b.WriteByte(c)
			r.at++
		}
	}
	return false
}

// bare reads a value without quotes, up to a comment. Laravel needs no blank before that.
func (r *envReader) bare() string {
	start := r.at
	line := r.line()
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || r.laravel || line[i-1] == ' ' || line[i-1] == '\t') {
			line = line[:i]
			break
		}
	}
	if !r.laravel {
		return strings.TrimSpace(line)
	}
	end := r.at
	var b strings.Builder
	for r.at = start; r.at < start+len(line); {
		if r.text[r.at] == '$' {
			r.refer(&b)
		} else {
			b.WriteByte(r.text[r.at])
			r.at++
		}
	}
	r.at = end
	return strings.TrimSpace(b.String())
}

// refer puts in what a reference stands for, or the $ that is none.
func (r *envReader) refer(b *strings.Builder) {
	if m := envReference.FindStringSubmatch(r.text[r.at:]); m != nil && r.laravel {
		if value, found := r.env[m[1]]; found && r.added <= maxReferred {
			b.WriteString(value)
			r.added += len(value)
			r.at += len(m[0])
			return
		}
	}
	b.WriteByte('$')
	r.at++
}

// unescaped is what a letter behind a backslash means between double quotes. Node's
// reader knows ends of lines alone.
func unescaped(pair string, all bool) string {
	switch pair[1] {
	case 'n':
		return "\n"
	case 'r':
		return "\r"
	}
	if all {
		if i := strings.IndexByte("\"\\$`tfv", pair[1]); i >= 0 {
			return "\"\\$`\t\f\v"[i : i+1]
		}
	}
	return pair
}
