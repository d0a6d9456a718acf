package auth

import (
	"cmp"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What a signed query may hold. A client library sends about ten parameters; the
// old form that put an event into the query, a hundred more.
const (
	maxPusherQuery  = 64 << 10 // bytes
	maxPusherParams = 512
)

// pusherWindow is by how much auth_timestamp may differ from the server's clock,
// itself excluded (Pusher Channels, HTTP API reference, "Authentication").
const pusherWindow = 600 * time.Second

// Errors of [ParsePusherQuery].
var (
	ErrQueryTooBig = errors.New("query is too long or has too many parameters")
	ErrQueryEscape = errors.New("query has a broken percent escape")
)

// A PusherError says why a signature of the Pusher scheme is refused, in words
// meant for whoever sent it. It may hold the text that should have been signed,
// which the sender knows, and never a digest or a secret. It is an [ErrBadToken].
type PusherError struct{ text string }

// Error returns the words.
func (e *PusherError) Error() string { return e.text }

// Is reports that every PusherError is an [ErrBadToken].
func (e *PusherError) Is(target error) bool { return target == ErrBadToken }

// A PusherQuery is the query of a request to the HTTP API, in the order in which
// it came.
type PusherQuery struct{ params []pusherParam }

// pusherParam is one parameter as sent and as it is meant. The key is in lower
// case in both.
type pusherParam struct{ key, value, rawKey, rawValue string }

// ParsePusherQuery splits the query of a URL, which comes without its question
// mark. Unlike url.ParseQuery it keeps the order and takes a semicolon for what
// it is in the name of a channel. It returns [ErrQueryTooBig] or [ErrQueryEscape].
func ParsePusherQuery(raw string) (PusherQuery, error) {
	var q PusherQuery
	if len(raw) > maxPusherQuery || strings.Count(raw, "&") >= maxPusherParams {
		return q, ErrQueryTooBig
	}
	q.params = make([]pusherParam, 0, strings.Count(raw, "&")+1)
	for piece := range strings.SplitSeq(raw, "&") {
		if piece == "" {
			continue
		}
		rawKey, rawValue, _ := strings.Cut(piece, "=")
		key, err := url.QueryUnescape(rawKey)
		if err != nil {
			return PusherQuery{}, ErrQueryEscape
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil {
			return PusherQuery{}, ErrQueryEscape
		}
		q.params = append(q.params, pusherParam{strings.ToLower(key), value, strings.ToLower(rawKey), rawValue})
	}
	return q, nil
}

// Get returns the first value of a parameter, and whether there is one. The name
// is in lower case.
func (q PusherQuery) Get(name string) (string, bool) {
	for _, p := range q.params {
		if p.key == name {
			return p.value, true
		}
	}
	return "", false
}

// Names returns the names of all parameters, in lower case and as often as they
// came.
func (q PusherQuery) Names() []string {
	names := make([]string, len(q.params))
	for i, p := range q.params {
		names[i] = p.key
	}
	return names
}

// A PusherRequest is a request to the HTTP API, as far as it is signed.
type PusherRequest struct {
	Method string // as received
	Path   string // as received, still escaped
	Prefix string // a configured prefix that Path may begin with; empty for none
	Query  PusherQuery
}

// Check says whether a request was signed with secret at about now. It looks at
// everything but the body, so that a body need not be read for a stranger: that
// is for [PusherQuery.CheckBody]. The error is a *[PusherError].
//
// The rules are those of Pusher Channels, "HTTP API reference", Authentication.
// The official libraries do not all keep to them: the PHP library leaves its path
// prefix out and signs key=a,b for what it sends as key[0]=a&key[1]=b, the Go
// library signs values as they are escaped. Each such form is accepted.
func (r PusherRequest) Check(secret string, now time.Time) error {
	q := r.Query
	if _, ok := q.Get("auth_key"); !ok {
		return &PusherError{"auth_key is missing"}
	}
	if v, _ := q.Get("auth_version"); v != "1.0" {
		return &PusherError{"auth_version must be 1.0"}
	}
	text, _ := q.Get("auth_timestamp")
	stamp, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return &PusherError{"auth_timestamp must be a whole number of seconds since 1970"}
	}
	if off := now.Unix() - stamp; off <= -int64(pusherWindow.Seconds()) || off >= int64(pusherWindow.Seconds()) {
		return &PusherError{"Timestamp expired: auth_timestamp must be within 600 seconds of the server's clock, which shows " +
			strconv.FormatInt(now.Unix(), 10)}
	}
	sent, ok := q.Get("auth_signature")
	if !ok {
		return &PusherError{"auth_signature is missing"}
	}
	first := ""
	for text := range r.texts {
		if equal([]byte(sent), []byte(PusherSign(secret, text))) {
			return nil
		}
		first = cmp.Or(first, text)
	}
	return &PusherError{"Invalid signature: you should have sent HmacSHA256Hex(" + quoteShort(first) +
		", your_secret_key)"}
}

// texts yields what the request may have been signed over, the documented form first,
// each once. What most libraries sign is the first, so the others are made when asked for.
func (r PusherRequest) texts(yield func(string) bool) {
	paths := r.paths()
	var queries []string
	for _, collapse := range []bool{false, true} {
		for _, raw := range []bool{false, true} {
			q := r.Query.canonical(raw, collapse)
			if slices.Contains(queries, q) {
				continue
			}
			queries = append(queries, q)
			for _, p := range paths {
				if !yield(strings.ToUpper(r.Method) + "\n" + p + "\n" + q) {
					return
				}
			}
		}
	}
}

// paths are what the request's path may have been signed as, each once.
func (r PusherRequest) paths() []string {
	paths := []string{r.Path}
	if rest, ok := strings.CutPrefix(r.Path, r.Prefix); ok && r.Prefix != "" {
		paths = []string{rest, r.Path}
	}
	for _, p := range paths {
		if plain, err := url.PathUnescape(p); err == nil && !slices.Contains(paths, plain) {
			paths = append(paths, plain)
		}
	}
	return paths
}

// canonical returns the query as it is signed: without the signature, sorted by
// key. raw leaves values escaped; collapse writes an array as one parameter.
func (q PusherQuery) canonical(raw, collapse bool) string {
	type pair struct{ key, value string }
	pairs := make([]pair, 0, len(q.params))
	var at map[string]int // of the arrays
	size := 0
	for _, p := range q.params {
		if p.key == "auth_signature" {
			continue
		}
		k, v := p.key, p.value
		if raw {
			k, v = p.rawKey, p.rawValue
		}
		if name, isArray := arrayName(p.key); isArray && collapse {
			if i, seen := at[name]; seen {
				pairs[i].value += "," + v
				continue
			}
			if at == nil {
				at = make(map[string]int)
			}
			at[name], k = len(pairs), name
		}
		size += len(k) + len(v) + 2
		pairs = append(pairs, pair{k, v})
	}
	slices.SortStableFunc(pairs, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	var b strings.Builder
	b.Grow(size)
	for i, p := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		b.WriteString(p.key)
		b.WriteByte('=')
		b.WriteString(p.value)
	}
	return b.String()
}

// arrayName returns the a of a[] or a[12].
func arrayName(key string) (string, bool) {
	name, index, ok := strings.Cut(key, "[")
	if !ok || !strings.HasSuffix(index, "]") || strings.Trim(index[:len(index)-1], "0123456789") != "" {
		return "", false
	}
	return name, true
}

// SignsBody reports whether the query vouches for a body at all.
func (q PusherQuery) SignsBody() bool {
	_, ok := q.Get("body_md5")
	return ok
}

// CheckBody says whether body is the one that the query was signed for. An empty
// one needs no MD5. The error is a *[PusherError].
func (q PusherQuery) CheckBody(body []byte) error {
	sent, ok := q.Get("body_md5")
	if !ok {
		if len(body) == 0 {
			return nil
		}
		return &PusherError{"body_md5 is missing"}
	}
	sum := md5.Sum(body)
	if !equal([]byte(sent), []byte(hex.EncodeToString(sum[:]))) {
		return &PusherError{"body_md5 does not match the body"}
	}
	return nil
}

// PusherSign returns the HMAC-SHA256 of text in lower-case hex, which is what all
// signatures of the Pusher scheme are made of.
func PusherSign(secret, text string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return hex.EncodeToString(mac.Sum(nil))
}

// SignPusherQuery returns the query, without its question mark, of a request to the HTTP API
// at a time (Pusher Channels, HTTP API reference, "Authentication"). path is the one that is
// really asked for, escaped as it is sent. more are further parameters such as "explain=1":
// names in order that come behind body_md5, and nothing that has to be escaped.
func SignPusherQuery(key, secret, method, path string, body []byte, at time.Time, more ...string) string {
	sum := md5.Sum(body)
	rest := "&auth_timestamp=" + strconv.FormatInt(at.Unix(), 10) + "&auth_version=1.0&body_md5=" + hex.EncodeToString(sum[:])
	for _, pair := range more {
		rest += "&" + pair
	}
	return "auth_key=" + url.QueryEscape(key) + rest + "&auth_signature=" + PusherSign(secret, method+"\n"+path+"\nauth_key="+key+rest)
}

// PusherChannel says whether token, "key:signature", lets the connection socketID
// into a private or presence channel. data is the member's description exactly as
// the client sent it, nil for none (Pusher Channels, "Auth signatures"). The error
// is a *[PusherError].
func PusherChannel(key, secret, socketID, channel string, data *string, token string) error {
	text := socketID + ":" + channel
	if data != nil {
		text += ":" + *data
	}
	return pusherToken(key, secret, text, token)
}

// PusherUser says whether token lets the connection socketID sign in as the user
// that userData describes, exactly as the client sent it (Pusher Channels, "User
// authentication"). The error is a *[PusherError].
func PusherUser(key, secret, socketID, userData, token string) error {
	return pusherToken(key, secret, socketID+"::user::"+userData, token)
}

func pusherToken(key, secret, text, token string) error {
	sentKey, digest, ok := strings.Cut(token, ":")
	switch {
	case !ok:
		return &PusherError{"auth must be the app's key, a colon and a signature"}
	case sentKey != key:
		return &PusherError{"auth has another key than the app that this connection is for"}
	case !equal([]byte(digest), []byte(PusherSign(secret, text))):
		return &PusherError{"Invalid signature: Expected HMAC SHA256 hex digest of " + short(text) + ", but got " + short(digest)}
	}
	return nil
}

// shortText bounds what an error repeats of what it was sent, in bytes.
const shortText = 1000

func short(text string) string {
	if len(text) > shortText {
		text = text[:shortText] + "..."
	}
	return strings.ToValidUTF8(text, "\ufffd")
}

func quoteShort(text string) string { return strconv.Quote(short(text)) }
