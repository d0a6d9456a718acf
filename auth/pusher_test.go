package auth

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// The key and secret of the vectors below, which Pusher's documentation and the
// tests of its libraries print.
const (
	vectorKey    = "278d425bdf160c739803"
	vectorSecret = "7ad3773142a6692b25b8"
	vectorTime   = 1353088179
	vectorBody   = `{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}`
)

func signedQuery(extra string) string {
	return "auth_key=" + vectorKey + "&auth_timestamp=1353088179&auth_version=1.0" + extra
}

func checkRequest(t *testing.T, method, path, prefix, raw string, at int64) error {
	t.Helper()
	q, err := ParsePusherQuery(raw)
	if err != nil {
		t.Fatal(err)
	}
	return PusherRequest{method, path, prefix, q}.Check(vectorSecret, time.Unix(at, 0))
}

// TestPusherRequestVectors holds the digests that Pusher's own documentation and
// libraries print.
func TestPusherRequestVectors(t *testing.T) {
	tests := []struct{ name, method, path, query, signature string }{
		{"an event", "POST", "/apps/3/events", signedQuery("&body_md5=ec365a775a4cd0599faeb73354201b6f"),
			"da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"},
		{"channels", "GET", "/apps/3/channels", signedQuery("&filter_by_prefix=presence-&info=user_count"),
			"16819168891cb5dfd72b5c7a5d3d602605b26c6ba1930033b5e2eeeb65010291"},
		// The Python library sends the MD5 of nothing with every GET.
		{"channels with a body_md5", "GET", "/apps/3/channels",
			signedQuery("&filter_by_prefix=presence-&info=user_count&body_md5=d41d8cd98f00b204e9800998ecf8427e"),
			"f3f17c61ae491cc9085db68b22076e9b772e3bcb301659d655153ee3f9782aba"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := checkRequest(t, tt.method, tt.path, "", tt.query+"&auth_signature="+tt.signature, vectorTime); err != nil {
				t.Error(err)
			}
			wrong := strings.Replace(tt.signature, tt.signature[:1], "0", 1)
			err := checkRequest(t, tt.method, tt.path, "", tt.query+"&auth_signature="+wrong, vectorTime)
			if !errors.Is(err, ErrBadToken) {
				t.Errorf("a changed signature gives %v", err)
			}
			if want := `HmacSHA256Hex("` + tt.method + `\n` + tt.path + `\nauth_key=`; !strings.Contains(err.Error(), want) {
				t.Errorf("%q does not name what to sign, %q", err, want)
			}
			if strings.Contains(err.Error(), tt.signature) || strings.Contains(err.Error(), vectorSecret) {
				t.Errorf("%q tells too much", err)
			}
		})
	}
}

// TestPusherRequestForms signs as the libraries do, each with its own reading of
// the rules.
func TestPusherRequestForms(t *testing.T) {
	sorted := func(middle string) string { // what comes between auth_version and the signature
		return "auth_key=" + vectorKey + "&auth_timestamp=1353088179&auth_version=1.0" + middle
	}
	tests := []struct{ name, path, prefix, sent, signed string }{
		{"plain", "/apps/3/events", "", "", "GET\n/apps/3/events\n" + sorted("")},
		{"values are signed decoded", "/apps/3/channels", "", "&filter_by_prefix=a%2Cb%3D+c",
			"GET\n/apps/3/channels\n" + sorted("&filter_by_prefix=a,b= c")},
		// The Go library joins what url.Values wrote.
		{"values are signed as sent", "/apps/3/channels", "", "&filter_by_prefix=a%2Cb",
			"GET\n/apps/3/channels\n" + sorted("&filter_by_prefix=a%2Cb")},
		{"a semicolon is no separator", "/apps/3/channels", "", "&filter_by_prefix=a;b",
			"GET\n/apps/3/channels\n" + sorted("&filter_by_prefix=a;b")},
		{"keys are signed in lower case", "/apps/3/channels", "", "&Info=user_count",
			"GET\n/apps/3/channels\n" + sorted("&info=user_count")},
		{"an array as Ruby signs it", "/apps/3/channels", "", "&c[]=z&c[]=a",
			"GET\n/apps/3/channels\n" + sorted("&c[]=z&c[]=a")},
		{"an array as PHP signs it", "/apps/3/channels", "", "&c%5B0%5D=z&c%5B1%5D=a",
			"GET\n/apps/3/channels\n" + sorted("&c=z,a")},
		{"two of one name keep their order", "/apps/3/channels", "", "&b=2&b=1",
			"GET\n/apps/3/channels\n" + sorted("&b=2&b=1")},
		{"the prefix is not signed", "/push/apps/3/events", "/push", "", "GET\n/apps/3/events\n" + sorted("")},
		{"the prefix is signed", "/push/apps/3/events", "/push", "", "GET\n/push/apps/3/events\n" + sorted("")},
		{"the path is signed as sent", "/apps/3/channels/a%2Cb", "", "", "GET\n/apps/3/channels/a%2Cb\n" + sorted("")},
		{"the path is signed decoded", "/apps/3/channels/a%2Cb", "", "", "GET\n/apps/3/channels/a,b\n" + sorted("")},
		{"no value", "/apps/3/channels", "", "&x", "GET\n/apps/3/channels\n" + sorted("&x=")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := signedQuery(tt.sent) + "&auth_signature="
			if err := checkRequest(t, "GET", tt.path, tt.prefix, raw+PusherSign(vectorSecret, tt.signed), vectorTime); err != nil {
				t.Error(err)
			}
			if err := checkRequest(t, "GET", tt.path, tt.prefix, raw+PusherSign("another", tt.signed), vectorTime); err == nil {
				t.Error("another secret is accepted")
			}
			if err := checkRequest(t, "POST", tt.path, tt.prefix, raw+PusherSign(vectorSecret, tt.signed), vectorTime); err == nil {
				t.Error("another method is accepted")
			}
		})
	}
}

func TestPusherRequestRefusals(t *testing.T) {
	sign := func(query string) string {
		return query + "&auth_signature=" + PusherSign(vectorSecret, "GET\n/apps/3/channels\n"+query)
	}
	tests := []struct {
		name, query string
		at          int64
		want        string // in the error; empty for none
	}{
		{"good", sign(signedQuery("")), vectorTime, ""},
		{"599 s late", sign(signedQuery("")), vectorTime + 599, ""},
		{"600 s late", sign(signedQuery("")), vectorTime + 600, "Timestamp expired"},
		{"599 s early", sign(signedQuery("")), vectorTime - 599, ""},
		{"600 s early", sign(signedQuery("")), vectorTime - 600, "Timestamp expired"},
		{"nothing", "", vectorTime, "auth_key is missing"},
		{"no signature", signedQuery(""), vectorTime, "auth_signature is missing"},
		{"no timestamp", sign("auth_key=k&auth_version=1.0"), vectorTime, "auth_timestamp"},
		{"a timestamp that is no integer", sign("auth_key=k&auth_timestamp=1353088179.0&auth_version=1.0"), vectorTime, "auth_timestamp"},
		{"a timestamp before all time", sign("auth_key=k&auth_timestamp=-9223372036854775808&auth_version=1.0"), vectorTime, "expired"},
		{"no version", sign("auth_key=k&auth_timestamp=1353088179"), vectorTime, "auth_version"},
		{"another version", sign("auth_key=k&auth_timestamp=1353088179&auth_version=1.00"), vectorTime, "auth_version"},
		{"the digest in upper case", strings.ToUpper(sign(signedQuery(""))), vectorTime, "Invalid signature"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := checkRequest(t, "GET", "/apps/3/channels", "", tt.query, tt.at)
			if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestPusherBody(t *testing.T) {
	tests := []struct {
		name, query, body string
		good              bool
	}{
		{"right", "body_md5=ec365a775a4cd0599faeb73354201b6f", vectorBody, true},
		{"changed", "body_md5=ec365a775a4cd0599faeb73354201b6f", vectorBody + " ", false},
		{"unsigned", "", vectorBody, false},
		{"empty and unsigned", "", "", true},
		{"empty and signed", "body_md5=d41d8cd98f00b204e9800998ecf8427e", "", true},
		{"empty and signed wrongly", "body_md5=ec365a775a4cd0599faeb73354201b6f", "", false},
		{"in upper case", "body_md5=EC365A775A4CD0599FAEB73354201B6F", vectorBody, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q, err := ParsePusherQuery(tt.query)
			if err != nil {
				t.Fatal(err)
			}
			if err := q.CheckBody([]byte(tt.body)); (err == nil) != tt.good {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestPusherTokens holds the digests of Pusher's documentation ("Auth
// signatures"), save that its presence example belongs to another channel than it
// says.
func TestPusherTokens(t *testing.T) {
	data := `{"user_id":10,"user_info":{"name":"Mr. Channels"}}`
	channel := func(channel string, data *string) func(token string) error {
		return func(token string) error {
			return PusherChannel(vectorKey, vectorSecret, "1234.1234", channel, data, token)
		}
	}
	tests := []struct {
		name, digest string
		check        func(token string) error
	}{
		{"private", "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4", channel("private-foobar", nil)},
		{"presence", "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80", channel("presence-foobar", &data)},
		{"user", "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba", func(token string) error {
			return PusherUser(vectorKey, vectorSecret, "1234.1234", `{"id":"12345"}`, token)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.check(vectorKey + ":" + tt.digest); err != nil {
				t.Error(err)
			}
			for _, bad := range []string{"", tt.digest, ":" + tt.digest, vectorKey + ":", vectorKey + ":" + tt.digest + " ",
				"x" + vectorKey + ":" + tt.digest, vectorKey + ":" + strings.ToUpper(tt.digest)} {
				if err := tt.check(bad); !errors.Is(err, ErrBadToken) {
					t.Errorf("%q gives %v", bad, err)
				}
			}
		})
	}
	// Data that is there and empty is signed with its colon.
	empty := ""
	token := vectorKey + ":" + PusherSign(vectorSecret, "1.2:private-a:")
	if err := PusherChannel(vectorKey, vectorSecret, "1.2", "private-a", &empty, token); err != nil {
		t.Error(err)
	}
	if got := PusherSign(vectorSecret, `{"time_ms":1327078148132,"events":[{"name":"channel_occupied","channel":"my-channel"}]}`); got != "c19001ae3963ccb13bf618e5b16ba9848e7e74df0993aa0689168e341c6833cf" {
		t.Errorf("a webhook is signed %s", got)
	}
}

func TestPusherQueryBounds(t *testing.T) {
	if _, err := ParsePusherQuery(strings.Repeat("a=1&", maxPusherParams)); err != ErrQueryTooBig {
		t.Errorf("many parameters give %v", err)
	}
	if _, err := ParsePusherQuery("a=" + strings.Repeat("x", maxPusherQuery)); err != ErrQueryTooBig {
		t.Errorf("a long query gives %v", err)
	}
	for _, raw := range []string{"a=%", "%zz=1", "a=%4"} {
		if _, err := ParsePusherQuery(raw); err != ErrQueryEscape {
			t.Errorf("%q gives %v", raw, err)
		}
	}
}

// FuzzPusherQuery looks for a query that panics, that is read otherwise than
// net/url reads it where that is right, or whose own signature is refused.
func FuzzPusherQuery(f *testing.F) {
	for _, s := range []string{"", "a=b", "a[]=1&a[]=2", "a[0]=x&b=%2C+", ";;=;", "auth_key=k&auth_signature=1", "=&=&&", "a%5B0%5D=%5b", "[]=1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := ParsePusherQuery(raw)
		if err != nil {
			return
		}
		if want, err := url.ParseQuery(raw); err == nil && !strings.Contains(raw, ";") {
			n := 0
			for _, values := range want {
				n += len(values)
			}
			if n != len(q.Names()) {
				t.Fatalf("%d parameters, net/url has %d", len(q.Names()), n)
			}
		}
		if _, has := q.Get("auth_signature"); has {
			return
		}
		for _, name := range []string{"auth_key", "auth_version", "auth_timestamp"} {
			if _, has := q.Get(name); has {
				return
			}
		}
		if len(raw) > 1000 {
			return // what is long takes longer and shows nothing new
		}
		raw = signedQuery("&" + raw)
		q, err = ParsePusherQuery(raw)
		if err != nil {
			return // now too long
		}
		texts := slices.Collect((PusherRequest{"GET", "/p", "", q}).texts)
		for _, text := range []string{texts[0], texts[len(texts)-1]} {
			err := checkRequest(t, "GET", "/p", "", raw+"&auth_signature="+PusherSign(vectorSecret, text), vectorTime)
			if err != nil {
				t.Fatalf("signed %q: %v", text, err)
			}
		}
	})
}

func BenchmarkPusherRequest(b *testing.B) {
	query := signedQuery("&body_md5=ec365a775a4cd0599faeb73354201b6f&auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c")
	now := time.Unix(vectorTime, 0)
	b.ReportAllocs()
	for b.Loop() {
		q, err := ParsePusherQuery(query)
		if err == nil {
			err = PusherRequest{"POST", "/apps/3/events", "", q}.Check(vectorSecret, now)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func ExamplePusherChannel() {
	err := PusherChannel("key", "secret", "1.2", "private-a", nil, "key:"+PusherSign("secret", "1.2:private-a"))
	fmt.Println(err)
	// Output: <nil>
}

// TestSignPusherQuery signs as the documentation does, and what the check takes.
func TestSignPusherQuery(t *testing.T) {
	at := time.Unix(vectorTime, 0)
	got := SignPusherQuery(vectorKey, vectorSecret, "POST", "/apps/3/events", []byte(vectorBody), at)
	want := signedQuery("&body_md5=ec365a775a4cd0599faeb73354201b6f&auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c")
	if got != want {
		t.Errorf("%s, want %s", got, want)
	}
	for _, row := range []struct {
		key, path string
		more      []string
	}{{"a key & more", "/apps/3/events", nil}, {vectorKey, "/under/apps/a%20b/events", nil}, {vectorKey, "/apps/3/events", []string{"explain=1", "info=user_count"}}} {
		raw := SignPusherQuery(row.key, vectorSecret, "POST", row.path, []byte(vectorBody), at, row.more...)
		if err := checkRequest(t, "POST", row.path, "", raw, vectorTime); err != nil {
			t.Errorf("%+v: %s: %v", row, raw, err)
		}
		q, err := ParsePusherQuery(raw)
		if key, _ := q.Get("auth_key"); err != nil || key != row.key || q.CheckBody([]byte(vectorBody)) != nil {
			t.Errorf("%+v: %s: %v", row, raw, err)
		}
	}
}
