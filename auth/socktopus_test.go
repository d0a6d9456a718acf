package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"
)

var socktopusNow = time.UnixMilli(1_745_000_000_000)

// tokenOf builds a token out of its raw parts, for those that NewSocktopus would
// not make.
func tokenOf(time, name, id, signed, secret string) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(signed))
	h := func(s string) string { return hex.EncodeToString([]byte(s)) }
	return h(time) + "h" + h(name) + "h" + h(id) + "h" + h(string(m.Sum(nil)))
}

// A token made by openssl and xxd by the recipe of the README's Authenticating:
// hex(timestamp) h hex(name) h hex(id) h hex(HMAC-SHA256(secret, timestamp+id)).
const opensslToken = "31373435303030303030303030" + "h" + "6d79617070" + "h" + "3132" + "h" +
	"79a8a00efda0addaeaa85b961c26881816ea42cfa64c81a52e0132adb3ea0968"

func TestSocktopusToken(t *testing.T) {
	for _, id := range []string{"12", "", "h", "caf\u00e9 \U0001F600", "\xff\x00", strings.Repeat("x", 1000)} {
		token := NewSocktopus("MyApp", "s3cret", id, socktopusNow)
		got, err := ParseSocktopus(token)
		if err != nil || got.Name != "MyApp" || got.ID != id || got.Time != socktopusNow.UnixMilli() {
			t.Fatalf("%q: %+v, %v", id, got, err)
		}
		if err := got.Check("s3cret"); err != nil {
			t.Errorf("%q: %v", id, err)
		}
		if err := got.Check("s3creT"); !errors.Is(err, ErrBadToken) {
			t.Errorf("%q with another secret: %v", id, err)
		}
		upper := strings.Join(strings.Split(strings.ToUpper(token), "H"), "h")
		if again, err := ParseSocktopus(upper); err != nil || again.Check("s3cret") != nil {
			t.Errorf("%q with upper case digits: %v", id, err)
		}
	}
}

func TestSocktopusKnownToken(t *testing.T) {
	if got := NewSocktopus("myapp", "TEST", "12", time.UnixMilli(1745000000000)); got != opensslToken {
		t.Errorf("made %s, want %s", got, opensslToken)
	}
}

func TestSocktopusMalformed(t *testing.T) {
	good := NewSocktopus("a", "s", "1", socktopusNow)
	for _, token := range []string{
		"", "h", "hhh", "hhhh", good + "h", good + "h00", strings.Replace(good, "h", "H", 1),
		good[1:], "zz" + good, " " + good, strings.TrimSuffix(good, good[len(good)-1:]),
		tokenOf("", "a", "1", "1", "s"),
		tokenOf("+5", "a", "1", "51", "s"), // the original took these three
		tokenOf("-5", "a", "1", "-51", "s"),
		tokenOf("01745000000000", "a", "1", "17450000000001", "s"),
		tokenOf("1e12", "a", "1", "1e121", "s"),
		tokenOf("99999999999999999999", "a", "1", "999999999999999999991", "s"),
	} {
		if got, err := ParseSocktopus(token); !errors.Is(err, ErrMalformedToken) {
			t.Errorf("%q: %+v, %v", token, got, err)
		}
	}
}

func TestSocktopusTime(t *testing.T) {
	for _, test := range []struct {
		age  time.Duration
		want error
	}{
		{0, nil},
		{5 * time.Second, nil}, // exactly 5,000 ms still passed in the original
		{5001 * time.Millisecond, ErrExpired},
		{time.Hour, ErrExpired},
		{-2 * time.Second, nil},
		{-5 * time.Second, nil},
		{-5001 * time.Millisecond, ErrEarly},
		{-time.Hour, ErrEarly},
	} {
		token, err := ParseSocktopus(NewSocktopus("a", "s", "1", socktopusNow.Add(-test.age)))
		if err != nil {
			t.Fatal(err)
		}
		if err := token.InTime(socktopusNow); err != test.want {
			t.Errorf("%v old: %v, want %v", test.age, err, test.want)
		}
	}
}

// A token for 12 is signed over the same bytes as one for 2 with a time ten times
// as large.
func TestSocktopusForgery(t *testing.T) {
	parts := strings.Split(NewSocktopus("a", "s", "12", socktopusNow), "h")
	forged, err := ParseSocktopus(hexOf("17450000000001") + "h" + parts[1] + "h" + hexOf("2") + "h" + parts[3])
	if err != nil || forged.ID != "2" {
		t.Fatal(forged, err)
	}
	if err := forged.Check("s"); err != nil {
		t.Fatalf("the signature is as good as the original's: %v", err)
	}
	if err := forged.InTime(socktopusNow); err != ErrEarly {
		t.Errorf("InTime: %v", err)
	}
	back, err := ParseSocktopus(hexOf("174500000000") + "h" + parts[1] + "h" + hexOf("012") + "h" + parts[3])
	if err != nil || back.Check("s") != nil || back.InTime(socktopusNow) != ErrExpired {
		t.Errorf("a digit moved into the id: %+v, %v", back, err)
	}
}

func TestSocktopusSecret(t *testing.T) {
	for _, got := range []string{"", "s", "secre", "secret ", "Secret"} {
		if err := SocktopusSecret(got, "secret"); err != ErrBadToken {
			t.Errorf("%q: %v", got, err)
		}
	}
	if err := SocktopusSecret("secret", "secret"); err != nil {
		t.Error(err)
	}
}

func FuzzSocktopusToken(f *testing.F) {
	f.Add(NewSocktopus("app", "secret", "12", socktopusNow))
	f.Add("hhh")
	f.Add("31h61h62h63")
	f.Fuzz(func(t *testing.T, token string) {
		got, err := ParseSocktopus(token)
		if err != nil {
			if !errors.Is(err, ErrMalformedToken) {
				t.Fatal(err)
			}
			return
		}
		if got.Time < 0 {
			t.Fatalf("time %d", got.Time)
		}
		// What parses is what its own parts make.
		made := NewSocktopus(got.Name, "x", got.ID, time.UnixMilli(got.Time))
		again, err := ParseSocktopus(made)
		if err != nil || again.Name != got.Name || again.ID != got.ID || again.Time != got.Time || again.signed != got.signed {
			t.Fatalf("%q became %q: %v", token, made, err)
		}
		if got.Check("x") == nil && !strings.EqualFold(made, token) {
			t.Fatalf("%q is good beside %q", token, made)
		}
	})
}
