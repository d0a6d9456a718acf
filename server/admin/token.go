package admin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"log/slog"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"poosh/server/peers"
	"poosh/server/rate"
	"poosh/server/respond"
)

// How many wrong tokens are looked at, of one address and of all.
var (
	wrongOfAddress = rate.Rate{Limit: 10, Per: time.Minute}
	wrongOfAll     = rate.Rate{Limit: 100, Per: time.Minute}
)

// maxFriends is how many addresses are known to have the token.
const maxFriends = 256

// tokens says who has the token. Whoever has shown too many wrong ones is not looked at
// for a while, right or wrong: otherwise guesses would cost nothing. So that strangers
// with many addresses do not keep operators out, what all have shown counts only against
// those who have not shown the right one before.
type tokens struct {
	log *slog.Logger // set once

	mu      sync.Mutex // held while one is looked at, so that no more are than are counted
	want    [sha256.Size]byte
	era     context.Context // ends when another token counts
	over    context.CancelFunc
	address *rate.Limiter
	all     *rate.Limiter
	friends *lru.Cache[netip.Addr, struct{}]
}

func newTokens(token string, log *slog.Logger) *tokens {
	friends, err := lru.New[netip.Addr, struct{}](maxFriends)
	if err != nil {
		panic(err) // for a size that is not positive
	}
	t := &tokens{log: log, want: sha256.Sum256([]byte(token)),
		address: rate.PerAddress(wrongOfAddress), all: rate.New(wrongOfAll), friends: friends}
	t.era, t.over = context.WithCancel(context.Background())
	return t
}

// set has another token count. Who had shown the one before is nobody's friend any more, and
// what goes on for that ends; see [while].
func (t *tokens) set(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if want := sha256.Sum256([]byte(token)); want != t.want {
		t.want = want
		t.friends.Purge()
		t.over()
		t.era, t.over = context.WithCancel(context.Background())
	}
}

// admit returns a request that comes with the token, or answers by itself and returns nil.
func (t *tokens) admit(w http.ResponseWriter, r *http.Request) *http.Request {
	got, shown := shownToken(r)
	if !shown {
		t.ask(w, "this port wants ADMIN_TOKEN, as bearer token or as password")
		return nil
	}
	era, wait := t.look(got, r.RemoteAddr)
	switch {
	case wait > 0:
		tooMany(w, wait)
	case era == nil:
		t.log.Warn("operators' port: wrong token", "remote", r.RemoteAddr)
		t.ask(w, "wrong token")
	default:
		showedToken(r)
		return r.WithContext(context.WithValue(r.Context(), eraKey{}, era))
	}
	return nil
}

// eraKey is where a request has how long its token is the one.
type eraKey struct{}

// while has what goes on and on end when the token that has opened it does.
func while(h http.HandlerFunc) http.HandlerFunc {
	if h == nil {
		return nil
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if era, ok := r.Context().Value(eraKey{}).(context.Context); ok { // there may be no token at all
			ctx, cancel := context.WithCancel(r.Context())
			defer cancel()
			defer context.AfterFunc(era, cancel)()
			r = r.WithContext(ctx)
		}
		h(w, r)
	}
}

// guess counts that a request brings a secret that may be wrong, and reports whether to
// look at it: it shares the bounds of wrong tokens. Otherwise it has answered. That the
// secret was right, [tokens.right] says.
func (t *tokens) guess(w http.ResponseWriter, r *http.Request) bool {
	t.mu.Lock()
	wait := t.address.Wait(r.RemoteAddr)
	if wait == 0 {
		t.address.Take(r.RemoteAddr)
	}
	t.mu.Unlock()
	if wait > 0 {
		tooMany(w, wait)
		return false
	}
	return true
}

// right takes back a guess that was none.
func (t *tokens) right(r *http.Request) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.address.Return(r.RemoteAddr)
}

func tooMany(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	respond.Go.Error(w, http.StatusTooManyRequests, "too many wrong tokens or secrets, try later")
}

// ask has a browser ask its user.
func (t *tokens) ask(w http.ResponseWriter, text string) {
	w.Header().Add("WWW-Authenticate", `Basic realm="poosh", charset="UTF-8"`)
	w.Header().Add("WWW-Authenticate", "Bearer")
	respond.Go.Error(w, http.StatusUnauthorized, text)
}

// look compares a token, in a time that tells nothing about the right one, and returns what
// ends with that, nil for a wrong one; or says how long to wait before the next is looked at.
func (t *tokens) look(got [sha256.Size]byte, remote string) (era context.Context, wait time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	who := peers.Of(remote)
	wait = t.address.Wait(remote)
	if !t.friends.Contains(who) {
		wait = max(wait, t.all.Wait(remote))
	}
	if wait > 0 {
		return nil, wait
	}
	if subtle.ConstantTimeCompare(got[:], t.want[:]) == 1 {
		t.friends.Add(who, struct{}{})
		return t.era, 0
	}
	t.address.Take(remote)
	t.all.Take(remote)
	return nil, 0
}

// shownToken returns the hash of the token that a request shows: a bearer token
// (RFC 6750, section 2.1), or the password of Basic authentication (RFC 7617).
func shownToken(r *http.Request) (hash [sha256.Size]byte, shown bool) {
	scheme, value, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	value = strings.TrimSpace(value)
	switch {
	case strings.EqualFold(scheme, "Bearer"):
	case strings.EqualFold(scheme, "Basic"):
		pair, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return hash, false
		}
		_, value, _ = strings.Cut(string(pair), ":")
	default:
		return hash, false
	}
	return sha256.Sum256([]byte(value)), true
}
