package authorize

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

// What a page's headers may be.
const (
	maxHeaders     = 32
	maxHeaderBytes = 8 << 10  // of all names and values
	maxCookieBytes = 16 << 10 // of the handshake's
)

// ErrHeaders says that auth.headers of a page is not an object of texts.
var ErrHeaders = errors.New("want auth.headers to be an object of texts")

// ReadHeaders reads auth.headers of a page: an object of texts. Numbers and switches count as
// the text that they are written as, null as not there; with nothing or an empty list there
// are none. Everything else is [ErrHeaders].
func ReadHeaders(raw json.RawMessage) (map[string]string, error) {
	switch text := strings.TrimSpace(string(raw)); text {
	case "", "null", "[]":
		return nil, nil
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil || len(members) > maxHeaders {
		return nil, ErrHeaders
	}
	headers := make(map[string]string, len(members))
	for name, value := range members {
		switch value[0] {
		case 'n':
		case '{', '[':
			return nil, ErrHeaders
		case '"':
			var text string
			if json.Unmarshal(value, &text) != nil {
				return nil, ErrHeaders
			}
			headers[name] = text
		default:
			headers[name] = string(value)
		}
	}
	return headers, nil
}

// plain are the headers that a page may name which do not begin with X-.
var plain = []string{"accept", "accept-language", "authorization"}

// proxies are beginnings of headers by which a proxy tells an application who somebody is or
// what was asked for, which an application may believe since they come from this server.
var proxies = []string{
	"x-forwarded", "x-real-", "x-original-", "x-rewrite-", "x-http-method", "x-method-override",
	"x-client-", "x-cluster-", "x-remote-", "x-host", "x-proxy", "x-true-", "x-envoy-", "x-amzn-",
	"x-amz-", "x-arr-", "x-azure-", "x-appengine-", "x-goog-", "x-ms-", "x-ssl-", "x-tls-", "x-accel-",
	"x-sendfile", "x-auth-request-", "x-authenticated-", "x-webauth-", "x-authentik-", "x-user-",
	"x-originating-", "x-php-",
}

// Forwards reports whether a header goes on to the application that a page names:
// Authorization, Accept, Accept-Language and those that begin with X-, but for those by which
// proxies speak. A name with an underscore does not, since PHP and others take it for a hyphen.
func Forwards(name string) bool {
	name = strings.ToLower(name)
	if slices.Contains(plain, name) {
		return true
	}
	if !strings.HasPrefix(name, "x-") || len(name) < 3 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return false
	}
	return !slices.ContainsFunc(proxies, func(begin string) bool { return strings.HasPrefix(name, begin) })
}

// checkHeaders says why a question cannot be asked as it is, or allowed.
func checkHeaders(q Question) Reason {
	n := 0
	for name, value := range q.Headers {
		n += len(name) + len(value)
		if Forwards(name) && !isFieldValue(value) {
			return badHeaders
		}
	}
	if n > maxHeaderBytes || len(q.Headers) > maxHeaders || len(q.Cookie) > maxCookieBytes || !isFieldValue(q.Cookie) {
		return badHeaders
	}
	return allowed
}

// isFieldValue reports whether a text may be the value of a header (RFC 9110, section 5.5):
// without line ends and other control characters, but for tabs.
func isFieldValue(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}
