package migration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"poosh/auth"
)

// A format is how a file is written.
type format string

// The formats that there are readers for.
const (
	formatJSON format = "JSON"
	formatTOML format = "TOML"
	formatPHP  format = "PHP"
	formatEnv  format = "variables"
)

// maxFile bounds what is read, in bytes.
const maxFile = 1 << 20

// An input is a configuration that was read.
type input struct {
	source  *source
	entries []entry
	others  []string // variables of other programs
	notes   []string
}

// open reads the file and the environment beside it, and tells whose they are.
func open(path string, o Options, stdin io.Reader) (*input, error) {
	text, err := readAll(path, stdin)
	if err != nil {
		return nil, err
	}
	r := &reading{path: path, text: text, format: formatOf(path, text)}
	note, err := r.readBeside(o)
	if err != nil {
		return nil, err
	}
	var candidates []*source
	for _, s := range sources() {
		if o.From == "" && !s.asked || o.From == s.name {
			candidates = append(candidates, s)
		}
	}
	if candidates == nil {
		return nil, fmt.Errorf("--from is %s: want one of %s", shown(o.From), strings.Join(Sources(), ", "))
	}
	in, err := r.tell(candidates, o.From != "")
	if err == nil && note != "" {
		in.notes = append(in.notes, note)
	}
	return in, err
}

// readAll returns the text of a file of a bounded size.
func readAll(path string, stdin io.Reader) (string, error) {
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", err
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.IsDir() {
			return "", fmt.Errorf("%s is a directory: want the file with the configuration", path)
		}
		stdin = f
	}
	b, err := io.ReadAll(io.LimitReader(stdin, maxFile+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxFile {
		return "", fmt.Errorf("%s is larger than %d bytes: want a file of settings", path, maxFile)
	}
	return string(auth.ValidUTF8(bytes.TrimPrefix(b, []byte("\ufeff")))), nil
}

// readBeside finds the variables that the server had beside its file. A PHP file is one
// of a Laravel application, whose .env is in the directory above.
func (r *reading) readBeside(o Options) (note string, err error) {
	name := o.Env
	if name == "" && r.path != "-" && r.format == formatPHP {
		above := filepath.Join(filepath.Dir(r.path), "..", ".env")
		if _, err := os.Stat(above); !errors.Is(err, fs.ErrNotExist) {
			name, note = above, "The variables of the application are those of "+shown(above)+"."
		}
	}
	if name != "" {
		r.besidePath = name
		r.beside, err = readAll(name, strings.NewReader(""))
	}
	return note, err
}

// What a format looks like.
var (
	tomlLine = regexp.MustCompile(`(?m)^[ \t]*\[\[?[A-Za-z0-9_."-]+\]\]?[ \t]*(#.*)?$|^[ \t]*[a-z_]+[ \t]*=[ \t]*(".*"|[0-9.]+|true|false|\[.*)[ \t]*(#.*)?$`)
	envLine1 = regexp.MustCompile(`(?m)^[ \t]*(export[ \t]+)?[A-Z][A-Z0-9_]*[ \t]*=`)
)

// formatOf tells how a file is written, by what it holds, and by its name where that
// could be both.
func formatOf(path, text string) format {
	head := strings.TrimSpace(text)
	switch {
	case strings.HasPrefix(head, "<?"):
		return formatPHP
	case strings.HasPrefix(head, "{"):
		return formatJSON
	case strings.EqualFold(filepath.Ext(path), ".toml"):
		return formatTOML
	case envLine1.MatchString(text):
		return formatEnv
	case tomlLine.MatchString(text):
		return formatTOML
	}
	return formatEnv
}

// readJSON reads a JSON object.
func readJSON(text string) (any, error) {
	var tree map[string]any
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	if err := dec.Decode(&tree); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("line %d: is no JSON: %w", lineAt(text, int(syntax.Offset)), syntax)
		}
		return nil, errors.New("is no JSON object") // the error may quote a value
	}
	if dec.More() {
		return nil, errors.New("has more than one JSON object")
	}
	return tree, nil
}

func lineAt(text string, offset int) int {
	return 1 + strings.Count(text[:max(0, min(offset, len(text)))], "\n")
}

// readTOML reads a TOML document.
func readTOML(text string) (any, error) {
	if line := tooDeep(text); line > 0 {
		return nil, fmt.Errorf("line %d: more than %d brackets within each other", line, maxBrackets)
	}
	var tree map[string]any
	if err := toml.Unmarshal([]byte(text), &tree); err != nil {
		var wrong *toml.DecodeError
		if errors.As(err, &wrong) {
			line, column := wrong.Position()
			return nil, fmt.Errorf("line %d, column %d: is no TOML", line, column) // the error may quote a value
		}
		return nil, errors.New("is no TOML")
	}
	return tree, nil
}

// maxBrackets bounds what the reader of TOML, which calls itself for each, is given.
const maxBrackets = 1000

// tooDeep returns the line in which too many brackets are open, or 0. It takes those in
// texts and comments for brackets too.
func tooDeep(text string) int {
	line, open := 1, 0
	for i := range len(text) {
		switch text[i] {
		case '\n':
			line++
		case '[', '{':
			if open++; open > maxBrackets {
				return line
			}
		case ']', '}':
			open = max(0, open-1)
		}
	}
	return 0
}
