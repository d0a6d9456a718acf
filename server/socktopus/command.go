package socktopus

import (
	"fmt"
	"io"
	"time"

	"poosh/auth"
)

// TokenCommand is `poosh socktopus token NAME SECRET CONNECTION`: it prints the
// token that a client may join with as CONNECTION during the next five seconds, as
// the original's command line did. It looks at no setting: the name is written as
// given. args are what follows the word token; the result is an exit code, 2 for
// arguments that are not three. With --json in front of them it is an object.
func TokenCommand(args []string, stdout, stderr io.Writer) int {
	format := "Generated Token: %s\n"
	if len(args) == 4 && args[0] == "--json" {
		format, args = "{\"token\":\"%s\"}\n", args[1:] // a token is of hexadecimal digits and h
	}
	if len(args) != 3 {
		fmt.Fprintln(stderr, "poosh: want three arguments: poosh socktopus token NAME SECRET CONNECTION")
		return 2
	}
	if _, err := fmt.Fprintf(stdout, format, auth.NewSocktopus(args[0], args[1], args[2], time.Now())); err != nil {
		fmt.Fprintln(stderr, "poosh:", err)
		return 1
	}
	return 0
}
