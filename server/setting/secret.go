package setting

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// What a secret should have: so many characters, and so many that are not the same. One
// of 16 that are of 8 kinds takes 2^48 guesses at the most.
const (
	wiseSecret = 16
	wiseKinds  = 8
)

// Examples are what stands for secrets in the documents and examples, so that everybody
// knows it.
var Examples = []string{
	"thisisthesharedsecret",
	"replace-this-secret",
	"replace-this-secret-of-the-shop",
	"replace-this-secret-of-the-ticker",
	"replace-this-token",
}

// WeakSecret warns of a secret that may be guessed; nil for a good one, and for none.
// name is what to change.
func WeakSecret(name, value string) []string {
	kinds := make(map[rune]bool)
	for _, r := range value {
		kinds[r] = true
	}
	var why string
	switch {
	case value == "":
		return nil
	case isExample(value):
		why = "is what the documentation shows, so that everybody knows it: want"
	case utf8.RuneCountInString(value) < wiseSecret:
		why = "is short enough to be guessed: want"
	case len(kinds) < wiseKinds:
		why = fmt.Sprintf("is made of few different characters, %d, so that it may be guessed: want", len(kinds))
	default:
		return nil
	}
	return []string{fmt.Sprintf("%s %s at least %d random characters, such as `openssl rand -hex 32` prints", name, why, wiseSecret)}
}

func isExample(value string) bool {
	for _, e := range Examples {
		if strings.EqualFold(value, e) {
			return true
		}
	}
	return false
}
