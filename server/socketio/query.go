package socketio

import (
	"net/url"
	"strings"
)

// parameters is the query of a request. A map, as [url.Values] is, would cost a
// poll more than all that is done with it.
type parameters []parameter

type parameter struct{ name, value string }

// usual is how many parameters most requests have at most.
const usual = 8

// parseQuery appends what a query holds to list, as [url.ParseQuery] reads it, and
// drops what is malformed.
func parseQuery(list parameters, raw string) parameters {
	for i := range len(raw) {
		if c := raw[i]; c == '%' || c == '+' || c == ';' {
			return parseEscaped(list, raw)
		}
	}
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair != "" {
			name, value, _ := strings.Cut(pair, "=")
			list = append(list, parameter{name, value})
		}
	}
	return list
}

func parseEscaped(list parameters, raw string) parameters {
	values, _ := url.ParseQuery(raw) // what it could read
	for name, all := range values {
		for _, value := range all {
			list = append(list, parameter{name, value})
		}
	}
	return list
}

// get returns the first value of a name, or "".
func (p parameters) get(name string) string {
	for i := range p {
		if p[i].name == name {
			return p[i].value
		}
	}
	return ""
}

// has reports whether a name is there, with or without a value.
func (p parameters) has(name string) bool {
	for i := range p {
		if p[i].name == name {
			return true
		}
	}
	return false
}

// single returns the value of a name that stands there exactly once.
func (p parameters) single(name string) (value string, ok bool) {
	for i := range p {
		if p[i].name == name {
			if ok {
				return "", false
			}
			value, ok = p[i].value, true
		}
	}
	return value, ok
}
