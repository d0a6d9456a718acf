package migration

import (
	"errors"
	"fmt"
	"strings"

	"github.com/joho/godotenv"
)

// readEnv reads variables in the form of .env, with quotes, comments and references to
// each other, as Laravel's and Node's readers do. No error shows a value.
func readEnv(text string) (map[string]string, error) {
	env, err := godotenv.Unmarshal(text)
	if err == nil {
		return env, nil
	}
	return nil, fmt.Errorf("line %d: want NAME=value", badLine(text))
}

// manyLines is how many lines a value may have for badLine to find its end.
const manyLines = 64

// badLine returns the first line of the first statement that cannot be read.
func badLine(text string) int {
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); {
		n := 1
		for ; n <= manyLines && i+n <= len(lines); n++ {
			if _, err := godotenv.Unmarshal(strings.Join(lines[i:i+n], "\n")); err == nil {
				break
			}
		}
		if n > manyLines || i+n > len(lines) {
			return i + 1
		}
		i += n
	}
	return 1
}

// errExpand is said of a file with variables that are not known.
var errExpand = errors.New("names variables of the environment that are not known: name the file that has them with --env")
