package server

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/joho/godotenv"

	"poosh/auth"
)

// maxDotEnv bounds the file that WithDotEnv reads, in bytes.
const maxDotEnv = 1 << 20

// WithDotEnv returns a look-up that asks lookup first and the file at path where
// lookup has nothing or an empty value, as the Node server did. A file that is
// not there is no error; one that cannot be read is.
//
// The file means what it meant to the Node server's parser, dotenv 1.2.0, which
// read each line for itself by this rule, where godotenv on its own would differ:
//
//	line                   godotenv alone           here, as dotenv 1.2.0
//	A=b # c                b                        b # c
//	A="b" # c              b                        b" # c
//	A=b$C, A=b${C}         $C is put in             b$C, b${C}
//	A=$C (whole value)     C of the file            C of the file, else of the environment
//	A="b, A='b             refuses the file         b
//	A='b"                  refuses the file         b
//	A=""b""                refuses the file         "b"
//	A=" b "                b with its spaces        b
//	A="b\tc", A="b\\c"     btc, b\c                 b\tc, b\\c
//	A="b <line end> c"     one value of two lines   b; the second line is skipped
//	A: b                   b                        the line is skipped
//	export A=b             b                        the line is skipped
//	any other line         refuses the file         the line is skipped
//	byte order mark        refuses the file         skipped
//
// One difference is left: a key with a dash may be referred to as $a-b, but is
// not itself a setting.
func WithDotEnv(path string, lookup func(string) (string, bool)) (func(string) (string, bool), error) {
	text, err := readDotEnv(path)
	if errors.Is(err, fs.ErrNotExist) {
		return lookup, nil
	}
	if err != nil {
		return nil, err
	}
	file, err := ParseDotEnv(text, lookup)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return func(name string) (string, bool) {
		value, ok := lookup(name)
		if value != "" {
			return value, true
		}
		if value, ok := file[name]; ok {
			return value, true
		}
		return value, ok
	}, nil
}

// readDotEnv returns the file's text, or an error that names the file.
func readDotEnv(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxDotEnv+1))
	if err != nil {
		return "", err
	}
	if len(b) > maxDotEnv {
		return "", fmt.Errorf("%s is larger than %d bytes: want a file of settings", path, maxDotEnv)
	}
	return string(auth.ValidUTF8(b)), nil
}

// ParseDotEnv returns what a text says in the form of the file that [WithDotEnv] reads;
// lookup is asked for what a value of nothing but $NAME stands for, where the text has no
// such name. Any goroutine may call it.
//
// It writes each line that dotenv 1.2.0 would take in the one form that godotenv reads
// without a second meaning, and lets godotenv read that.
func ParseDotEnv(text string, lookup func(string) (string, bool)) (map[string]string, error) {
	var plain strings.Builder
	seen := make(map[string]string) // what a later $KEY stands for
	for line := range strings.SplitSeq(text, "\n") {
		key, value, ok := splitDotEnvLine(line)
		if !ok {
			continue
		}
		value = dotEnvValue(value, func(name string) string {
			if v := seen[name]; v != "" {
				return v
			}
			v, _ := lookup(name)
			return v
		})
		seen[key] = value
		if !strings.Contains(key, "-") { // godotenv would refuse the whole file
			plain.WriteString(key + `="` + godotenvEscapes.Replace(value) + endMark + "\"\n")
		}
	}
	file, err := godotenv.Unmarshal(plain.String())
	for key, value := range file {
		value = strings.TrimSuffix(value, endMark)
		// The environment of a process cannot hold a NUL: Node cut there.
		file[key], _, _ = strings.Cut(value, "\x00")
	}
	return file, err
}

// endMark stands before each closing quote, because godotenv takes all quotes at
// the end of a value for one, and a backslash there for an escaped quote.
const endMark = "."

// godotenvEscapes is what must be escaped between godotenv's double quotes.
var godotenvEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "\n", `\n`, "\r", `\r`)

// splitDotEnvLine takes apart the lines that dotenv 1.2.0 takes: those that match
// /^\s*([\w\.\-]+)\s*=\s*(.*)?\s*$/, where a dot matches no line end.
func splitDotEnvLine(line string) (key, value string, ok bool) {
	key, value, ok = strings.Cut(line, "=")
	key = strings.TrimFunc(key, auth.IsJSSpace)
	if !ok || key == "" || strings.Trim(key, dotEnvKeyChars) != "" || strings.ContainsFunc(key, auth.IsJSSpace) {
		return "", "", false
	}
	value = strings.TrimLeftFunc(value, auth.IsJSSpace)
	if i := strings.IndexAny(value, "\r\u2028\u2029"); i >= 0 {
		if strings.TrimFunc(value[i:], auth.IsJSSpace) != "" {
			return "", "", false
		}
		value = value[:i]
	}
	return key, value, true
}

const dotEnvKeyChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"

// dotEnvValue is what dotenv 1.2.0 makes of the text after the equals sign, step
// by step. refer gives the value that $name stands for.
func dotEnvValue(value string, refer func(name string) string) string {
	if strings.HasPrefix(value, `"`) && strings.HasSuffix(value, `"`) {
		value = strings.ReplaceAll(value, `\n`, "\n")
	}
	if value != "" && strings.ContainsRune(`'"`, rune(value[0])) {
		value = value[1:]
	}
	if value != "" && strings.ContainsRune(`'"`, rune(value[len(value)-1])) {
		value = value[:len(value)-1]
	}
	value = strings.TrimFunc(value, auth.IsJSSpace)
	if name, ok := strings.CutPrefix(value, "$"); ok {
		value = refer(name)
	}
	if strings.HasPrefix(value, `\$`) {
		value = value[1:]
	}
	return value
}

// Names lists the names that are set in environ, which has the form of os.Environ,
// or in the file at path, which WithDotEnv reads; each once, in order. A file that
// is not there or cannot be read adds none: WithDotEnv tells.
func Names(path string, environ []string) []string {
	var names []string
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		names = append(names, name)
	}
	if text, err := readDotEnv(path); err == nil {
		if file, err := ParseDotEnv(text, os.LookupEnv); err == nil {
			for name := range file {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
