package auth

import (
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"

	"filippo.io/edwards25519"
)

// fieldPrime is 2^255 - 19.
var fieldPrime = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))

func fromHex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != 32 {
		t.Fatalf("%q: %v", text, err)
	}
	return b
}

// littleEndian returns the 32 bytes of a number below 2^256.
func littleEndian(n *big.Int) []byte {
	b := n.FillBytes(make([]byte, 32))
	slices.Reverse(b)
	return b
}

// smallEd25519 are the encodings of the 8 points of small order: the canonical ones
// and those that a lax decoder takes for the same points ("Taming the many EdDSAs",
// Chalkias, Garillot and Nikolaenko, table 1 of its appendix).
var smallEd25519 = []struct{ name, key string }{
	{"order 1", "0100000000000000000000000000000000000000000000000000000000000000"},
	{"order 2", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
	{"order 4", "0000000000000000000000000000000000000000000000000000000000000000"},
	{"order 4, negative", "0000000000000000000000000000000000000000000000000000000000000080"},
	{"order 8", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"},
	{"order 8, negative", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"},
	{"another of order 8", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"},
	{"another of order 8, negative", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"},
	{"order 1, sign of 0", "0100000000000000000000000000000000000000000000000000000000000080"},
	{"order 2, sign of 0", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"},
	{"order 4, y = p", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
	{"order 4, y = p, negative", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"},
	{"order 1, y = p + 1", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"},
	{"order 1, y = p + 1, sign of 0", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"},
}

// smallCurve25519 are the 12 values that Bernstein lists on cr.yp.to/ecdh.html
// under "validate" for those who need a key to contribute.
var smallCurve25519 = []struct{ name, u string }{
	{"0", "0"},
	{"1", "1"},
	{"order 8", "325606250916557431795983626356110631294008115727848805560023387167927233504"},
	{"another of order 8", "39382357235489614581723060781553021112529911719440698176882885853963445705823"},
	{"p - 1", "57896044618658097711785492504343953926634992332820282019728792003956564819948"},
	{"p", "57896044618658097711785492504343953926634992332820282019728792003956564819949"},
	{"p + 1", "57896044618658097711785492504343953926634992332820282019728792003956564819950"},
	{"p + order 8", "58221650869574655143581476130700064557929000448548130825288815391124492053453"},
	{"p + another of order 8", "97278401854147712293508553285896975039164904052260980196611677857920010525772"},
	{"2p - 1", "115792089237316195423570985008687907853269984665640564039457584007913129639897"},
	{"2p", "115792089237316195423570985008687907853269984665640564039457584007913129639898"},
	{"2p + 1", "115792089237316195423570985008687907853269984665640564039457584007913129639899"},
}

// weakKeys returns the identity keys that nobody needs a private key for, as the
// protocol writes them.
func weakKeys(t testing.TB) map[string][]byte {
	keys := make(map[string][]byte)
	for _, k := range smallEd25519 {
		keys["Ed25519: "+k.name] = fromHex(t, k.key)
	}
	for _, k := range smallCurve25519 {
		u, ok := new(big.Int).SetString(k.u, 10)
		if !ok {
			t.Fatal(k.name)
		}
		keys["Curve25519: "+k.name] = append([]byte{5}, littleEndian(u)...)
	}
	if len(keys) != 14+12 {
		t.Fatalf("%d keys", len(keys))
	}
	return keys
}

// The list is whole: the points of the table are all of order 1, 2, 4 or 8, and
// the Curve25519 values are their u coordinates.
func TestWeakKeysAreSmall(t *testing.T) {
	points := make(map[string]bool)
	us := make(map[string]bool)
	for _, k := range smallEd25519 {
		p, err := new(edwards25519.Point).SetBytes(fromHex(t, k.key))
		if err != nil || new(edwards25519.Point).MultByCofactor(p).Equal(edwards25519.NewIdentityPoint()) != 1 {
			t.Errorf("%s: %v", k.name, err)
			continue
		}
		points[string(p.Bytes())] = true
		us[string(p.BytesMontgomery())] = true
	}
	if len(points) != 8 {
		t.Errorf("%d points of small order, want 8", len(points))
	}
	for _, k := range smallCurve25519 {
		u, _ := new(big.Int).SetString(k.u, 10)
		u.Mod(u, fieldPrime)
		// p - 1 is on the twist: it has no point.
		if !us[string(littleEndian(u))] && u.Cmp(new(big.Int).Sub(fieldPrime, big.NewInt(1))) != 0 {
			t.Errorf("%s is no point of small order", k.name)
		}
	}
}

func TestWeakKeysAreRefused(t *testing.T) {
	for name, key := range weakKeys(t) {
		for _, text := range []string{base64.StdEncoding.EncodeToString(key), base64.RawStdEncoding.EncodeToString(key)} {
			if got, err := ParseIdentityKey(text); !errors.Is(err, ErrBadCredentials) {
				t.Errorf("%s: %x, %v", name, got, err)
			}
			if got, err := ParseAddress(text + "|1"); !errors.Is(err, ErrBadCredentials) {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		}
	}
}

// forge makes a signature without a private key: for a key A of small order the
// equation S*B - h*A = R is met by S = 0 and R = -h*A, which is one of 8 points.
// It tries them all for a time, and the next time when none is right.
func forge(key []byte) (password string, ok bool) {
	for n := 1_735_689_600_000; n < 1_735_689_600_064; n++ {
		digits := big.NewInt(int64(n)).String()
		for _, small := range smallEd25519[:8] {
			for _, sign := range []byte{0, 0x80} {
				raw, err := hex.DecodeString(small.key)
				if err != nil {
					panic(err)
				}
				sig := append(raw, make([]byte, 32)...)
				sig[63] |= sign
				password = digits + "|" + base64.StdEncoding.EncodeToString(sig)
				c := PushCredentials{Address: Address{string(key), "1"}, digits: digits, signature: sig}
				if c.Verify() == nil {
					return password, true
				}
			}
		}
	}
	return "", false
}

// A signature that was forged is good for none of the weak keys, neither on the way
// in nor for a key that is in a store from before.
func TestForgedSignaturesAreRefused(t *testing.T) {
	for name, key := range weakKeys(t) {
		if password, ok := forge(key); ok {
			t.Errorf("%s: forged %s", name, password)
		}
		c, err := ParsePush(base64.StdEncoding.EncodeToString(key)+"|1", "1735689600000|"+base64.StdEncoding.EncodeToString(make([]byte, 64)))
		if !errors.Is(err, ErrBadCredentials) || c.Verify() == nil {
			t.Errorf("%s: %v, %v", name, err, c.Verify())
		}
	}
}

// The forgery of this test works where nobody looks at keys, so that the tests
// above show something.
func TestForgeryIsReal(t *testing.T) {
	zero := make(ed25519.PublicKey, 32)
	for n := range 64 {
		message := []byte(strings.Repeat("x", n))
		for _, small := range smallEd25519[:8] {
			if ed25519.Verify(zero, message, append(fromHex(t, small.key), make([]byte, 32)...)) {
				return
			}
		}
	}
	t.Error("crypto/ed25519 takes no forgery for the key of zeros")
}

// A key may be written in one way: another one would be another identity with the
// same private key.
func TestNonCanonicalKeysAreRefused(t *testing.T) {
	seed := sha512.Sum512([]byte("any"))
	a, err := edwards25519.NewScalar().SetBytesWithClamping(seed[:32])
	if err != nil {
		t.Fatal(err)
	}
	point := new(edwards25519.Point).ScalarBaseMult(a)
	u := point.BytesMontgomery()
	if _, err := ParseIdentityKey(base64.StdEncoding.EncodeToString(append([]byte{5}, u...))); err != nil {
		t.Fatal(err)
	}
	u[31] |= 0x80 // ignored by curve25519_sign
	if _, err := ParseIdentityKey(base64.StdEncoding.EncodeToString(append([]byte{5}, u...))); err == nil {
		t.Error("a coordinate with its top bit set is taken")
	}
	// All values from p on, of which there are 19 below 2^255.
	for n := range int64(19) {
		key := littleEndian(new(big.Int).Add(fieldPrime, big.NewInt(n)))
		for _, sign := range []byte{0, 0x80} {
			key[31] = key[31]&0x7f | sign
			if _, err := ParseIdentityKey(base64.StdEncoding.EncodeToString(key)); err == nil {
				t.Errorf("Ed25519, p + %d, sign %x: taken", n, sign)
			}
			if _, err := ParseIdentityKey(base64.StdEncoding.EncodeToString(append([]byte{5}, key...))); err == nil {
				t.Errorf("Curve25519, p + %d, top bit %x: taken", n, sign)
			}
		}
	}
	// The largest canonical coordinate but p - 1, which is weak.
	key := littleEndian(new(big.Int).Sub(fieldPrime, big.NewInt(2)))
	if _, err := ParseIdentityKey(base64.StdEncoding.EncodeToString(append([]byte{5}, key...))); err != nil {
		t.Error(err)
	}
}
