package poosh

import "strings"

// equalFold compares ASCII without regard to case; lower must be in lower case.
// strings.EqualFold would take the long s of Unicode for an s.
func equalFold(s, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// knownMethod reports whether Node.js 20 knows a method (llhttp 8). It answers 400
// to others, and to these in another case.
func knownMethod(method string) bool {
	switch method {
	case "POST", "GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT",
		"ACL", "BIND", "CHECKOUT", "COPY", "LINK", "LOCK", "M-SEARCH", "MERGE", "MKACTIVITY", "MKCALENDAR",
		"MKCOL", "MOVE", "NOTIFY", "PROPFIND", "PROPPATCH", "PURGE", "QUERY", "REBIND", "REPORT", "SEARCH",
		"SOURCE", "SUBSCRIBE", "UNBIND", "UNLINK", "UNLOCK", "UNSUBSCRIBE":
		return true
	}
	return false
}

// parseContentType reports whether a Content-Type is application/json with nothing
// but well-formed parameters, as media-typer 0.3 and content-type 1.0 read it
// (RFC 9110, section 8.3.1, with spaces allowed around "=" and no tabs), and returns
// the last charset among them.
func parseContentType(s string) (isJSON bool, charset string) {
	name, params := s, ""
	if i := strings.IndexByte(s, ';'); i >= 0 {
		name, params = s[:i], s[i:]
	}
	if !equalFold(strings.Trim(name, " "), "application/json") {
		return false, ""
	}
	for params != "" {
		if params[0] != ';' {
			return false, ""
		}
		params = strings.TrimLeft(params[1:], " ")
		key := token(params)
		params = strings.TrimLeft(params[len(key):], " ")
		if key == "" || params == "" || params[0] != '=' {
			return false, ""
		}
		params = strings.TrimLeft(params[1:], " ")
		value, n := token(params), 0
		if n = len(value); n == 0 {
			if value, n = quoted(params); n == 0 {
				return false, ""
			}
		}
		params = strings.TrimLeft(params[n:], " ")
		if equalFold(key, "charset") {
			charset = value
		}
	}
	return true, charset
}

// token returns the token that s starts with (RFC 9110, section 5.6.2), or "".
func token(s string) string {
	for i := range len(s) {
		c := s[i]
		if ('a' > c || c > 'z') && ('A' > c || c > 'Z') && ('0' > c || c > '9') && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return s[:i]
		}
	}
	return s
}

// quoted reads the quoted string that s starts with and returns it without quotes
// and backslashes, and how long it was; zero when there is none.
func quoted(s string) (value string, n int) {
	if s == "" || s[0] != '"' {
		return "", 0
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		c := s[i]
		if c == '"' {
			return b.String(), i + 1
		}
		if c == '\\' {
			i++
			if i == len(s) || s[i] > '~' {
				return "", 0
			}
			c = s[i]
		}
		if c < ' ' || c == 0x7F {
			return "", 0
		}
		b.WriteByte(c)
	}
	return "", 0
}
