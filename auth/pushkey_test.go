package auth

import (
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"filippo.io/edwards25519"
)

// pushVectors are testdata/pushkey.json, made with the npm packages axolotl-crypto
// 1.1.1 and base64-arraybuffer 1.0.2; the file describes its fields.
type pushVectors struct {
	Valid, Invalid []pushVector
}

type pushVector struct {
	Name, PublicKey, PrivateKey, DeviceID, Timestamp string
	SignedBytesHex, Signature, Username, Password    string
	Why                                              string
}

func readPushVectors(t testing.TB) pushVectors {
	t.Helper()
	b, err := os.ReadFile("testdata/pushkey.json")
	if err != nil {
		t.Fatal(err)
	}
	var v pushVectors
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Valid) != 12 || len(v.Invalid) != 6 {
		t.Fatalf("%d valid and %d invalid vectors", len(v.Valid), len(v.Invalid))
	}
	return v
}

// signAxolotl is curve25519_sign of Signal's libraries, with a nonce made from the
// key and the message alone as in axolotl-crypto, so the bytes are the same.
func signAxolotl(private, message []byte) []byte {
	clamped := append([]byte(nil), private...)
	clamped[0] &= 248
	clamped[31] = clamped[31]&127 | 64
	a, _ := edwards25519.NewScalar().SetBytesWithClamping(private)
	public := new(edwards25519.Point).ScalarBaseMult(a).Bytes()
	nonce := sha512.Sum512(append(append([]byte(nil), clamped...), message...))
	r, _ := edwards25519.NewScalar().SetUniformBytes(nonce[:])
	rPoint := new(edwards25519.Point).ScalarBaseMult(r).Bytes()
	sum := sha512.Sum512(append(append(append([]byte(nil), rPoint...), public...), message...))
	h, _ := edwards25519.NewScalar().SetUniformBytes(sum[:])
	s := edwards25519.NewScalar().MultiplyAdd(h, a, r).Bytes()
	s[31] |= public[31] & 0x80
	return append(rPoint, s...)
}

func TestPushKeyVectors(t *testing.T) {
	vectors := readPushVectors(t)
	for i, v := range vectors.Valid {
		c, err := ParsePush(v.Username, v.Password)
		if err != nil {
			t.Errorf("valid %d: %v", i, err)
			continue
		}
		want, _ := strconv.ParseInt(v.Timestamp, 10, 64)
		if len(v.Timestamp) == 10 {
			want *= 1000
		}
		if c.Time != want || c.Device != v.DeviceID || c.String() != v.Username {
			t.Errorf("valid %d: %+v", i, c)
		}
		if err := c.Verify(); err != nil {
			t.Errorf("valid %d: %v", i, err)
		}
		private, _ := base64.StdEncoding.DecodeString(v.PrivateKey)
		message, _ := hex.DecodeString(v.SignedBytesHex)
		if got := base64.StdEncoding.EncodeToString(signAxolotl(private, message)); got != v.Signature {
			t.Errorf("valid %d: signed as %s, want %s", i, got, v.Signature)
		}
		// The other byte form: the digits alone, as the wiki has it.
		plain := base64.StdEncoding.EncodeToString(signAxolotl(private, []byte(v.Timestamp)))
		if c, err := ParsePush(v.Username, v.Timestamp+"|"+plain); err != nil || c.Verify() != nil {
			t.Errorf("valid %d over digits alone: %v, %v", i, err, c.Verify())
		}
	}
	for _, v := range vectors.Invalid {
		c, err := ParsePush(v.Username, v.Password)
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		if err := c.Verify(); !errors.Is(err, ErrBadSignature) {
			t.Errorf("%s (%s): %v", v.Name, v.Why, err)
		}
	}
}

// XEdDSA negates the private scalar where the sign bit would be 1, so that it is
// always 0 (Signal's XEdDSA specification, calculate_key_pair).
func TestPushKeyXEdDSA(t *testing.T) {
	for i, v := range readPushVectors(t).Valid {
		private, _ := base64.StdEncoding.DecodeString(v.PrivateKey)
		message, _ := hex.DecodeString(v.SignedBytesHex)
		a, _ := edwards25519.NewScalar().SetBytesWithClamping(private)
		public := new(edwards25519.Point).ScalarBaseMult(a).Bytes()
		if public[31]&0x80 != 0 {
			a.Negate(a)
			public = new(edwards25519.Point).ScalarBaseMult(a).Bytes()
		}
		nonce := sha512.Sum512(append([]byte("any nonce will do"), message...))
		r, _ := edwards25519.NewScalar().SetUniformBytes(nonce[:])
		sig := new(edwards25519.Point).ScalarBaseMult(r).Bytes()
		sum := sha512.Sum512(append(append(append([]byte(nil), sig...), public...), message...))
		h, _ := edwards25519.NewScalar().SetUniformBytes(sum[:])
		sig = append(sig, edwards25519.NewScalar().MultiplyAdd(h, a, r).Bytes()...)
		c, err := ParsePush(v.Username, v.Timestamp+"|"+base64.StdEncoding.EncodeToString(sig))
		if err != nil || c.Verify() != nil || sig[63]&0x80 != 0 {
			t.Errorf("vector %d: %v, %v", i, err, c.Verify())
		}
	}
}

func TestPushKeyEd25519(t *testing.T) {
	private := ed25519.NewKeyFromSeed([]byte(strings.Repeat("s", 32)))
	key := base64.StdEncoding.EncodeToString(private.Public().(ed25519.PublicKey))
	const at = "1735689600000"
	for _, message := range []string{at, at + strings.Repeat("\x00", len(at))} {
		sig := base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte(message)))
		for _, username := range []string{key + "|1", strings.TrimRight(key, "=") + "|1"} {
			for _, s := range []string{sig, strings.TrimRight(sig, "=")} {
				c, err := ParsePush(username, at+"|"+s)
				if err != nil || c.Verify() != nil {
					t.Errorf("%q %q: %v, %v", username, s, err, c.Verify())
				}
				if c.String() != key+"|1" {
					t.Errorf("%q is shown as %q", username, c.String())
				}
			}
		}
	}
	sig := base64.StdEncoding.EncodeToString(ed25519.Sign(private, []byte(at+"0")))
	if c, err := ParsePush(key+"|1", at+"|"+sig); err != nil || c.Verify() == nil {
		t.Error("another time's signature is good", err)
	}
}

func TestParsePush(t *testing.T) {
	v := readPushVectors(t).Valid[0]
	for _, bad := range [][2]string{
		{"", ""}, {v.Username, ""}, {"", v.Password},
		{v.PublicKey, v.Password}, {v.PublicKey + "|", v.Password}, {"|1", v.Password},
		{v.Username + "|", v.Password}, {v.Username + "|2", v.Password},
		{v.PublicKey + "|" + strings.Repeat("9", 129), v.Password},
		{v.PublicKey[:43] + "|1", v.Password},                  // 32 bytes and some bits
		{v.PublicKey + "AAAA|1", v.Password},                   // the original ignored what follows
		{"C" + v.PublicKey[1:] + "|1", v.Password},             // first byte is not 5
		{strings.ReplaceAll(v.Username, "/", "_"), v.Password}, // the URL's alphabet
		{v.PublicKey[:20] + "\n" + v.PublicKey[20:] + "|1", v.Password},
		{v.Username, v.Timestamp}, {v.Username, v.Timestamp + "|"}, {v.Username, "|" + v.Signature},
		{v.Username, v.Password + "|"}, {v.Username, "1" + strings.Repeat("0", 16) + "|" + v.Signature},
	} {
		if c, err := ParsePush(bad[0], bad[1]); !errors.Is(err, ErrBadCredentials) {
			t.Errorf("%q: %+v, %v", bad, c, err)
		}
	}
	for _, digits := range []string{"0", " 1449", "1.4e12", "0x1f", "-5", "+5", "01449360000000"} {
		if c, err := ParsePush(v.Username, digits+"|"+v.Signature); err != nil || c.Time != 0 {
			t.Errorf("time %q: %d, %v", digits, c.Time, err)
		}
	}
	// A signature that cannot be one is told late.
	for _, sig := range []string{v.Signature[:84], v.Signature[:87], v.Signature + "AAAA", "x", v.Signature[:40] + "\n" + v.Signature[40:]} {
		if c, err := ParsePush(v.Username, v.Timestamp+"|"+sig); err != nil || c.Verify() != ErrBadSignature {
			t.Errorf("signature %q: %v", sig, err)
		}
	}
	if c, err := ParsePush(v.Username, strings.TrimRight(v.Password, "=")); err != nil || c.Verify() != nil {
		t.Error("without padding:", err)
	}
}

func TestPushInTime(t *testing.T) {
	now := time.UnixMilli(1_735_689_600_000)
	for _, test := range []struct {
		ms   int64
		want bool
	}{{0, true}, {59_999, true}, {60_000, false}, {-59_999, true}, {-60_000, false}, {1 << 50, false}, {-1 << 50, false}} {
		c := PushCredentials{Time: now.UnixMilli() - test.ms}
		if got := c.InTime(now); got != test.want {
			t.Errorf("%d ms old: %v", test.ms, got)
		}
	}
}

// The conversion agrees with plain arithmetic on big numbers.
func TestEdwardsKey(t *testing.T) {
	p := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	little := func(n *big.Int) []byte {
		b := n.FillBytes(make([]byte, 32))
		for i := range 16 {
			b[i], b[31-i] = b[31-i], b[i]
		}
		return b
	}
	for _, u := range []*big.Int{big.NewInt(0), big.NewInt(1), big.NewInt(9), new(big.Int).Sub(p, big.NewInt(2)), new(big.Int).Rsh(p, 1)} {
		y := new(big.Int).ModInverse(new(big.Int).Add(u, big.NewInt(1)), p)
		y.Mul(y, new(big.Int).Sub(u, big.NewInt(1))).Mod(y, p)
		got, ok := edwardsKey(little(u), 0)
		if !ok || string(got) != string(little(y)) {
			t.Errorf("u = %v: %x, want %x", u, got, little(y))
		}
	}
	if _, ok := edwardsKey(little(new(big.Int).Sub(p, big.NewInt(1))), 0); ok {
		t.Error("u = -1 has a y")
	}
}

func FuzzPushKey(f *testing.F) {
	v := readPushVectors(f).Valid[0]
	f.Add(v.Username, v.Password)
	f.Add("a|b", "1|c")
	f.Fuzz(func(t *testing.T, username, password string) {
		c, err := ParsePush(username, password)
		if err != nil {
			if !errors.Is(err, ErrBadCredentials) {
				t.Fatal(err)
			}
			return
		}
		if c.Device == "" || len(c.Key) != 32 && len(c.Key) != 33 || c.Time < 0 {
			t.Fatalf("%+v", c)
		}
		again, err := ParseAddress(c.String())
		if err != nil || again != c.Address {
			t.Fatalf("%q became %q: %v", username, c.String(), err)
		}
		if c.Verify() == nil && username != v.Username {
			// A device id is not signed.
			if key, _, _ := strings.Cut(username, "|"); key != v.PublicKey {
				t.Fatalf("%q %q is good", username, password)
			}
		}
	})
}
