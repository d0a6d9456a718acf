package auth

import "math/big"

// Identity keys of small order and in forms that are not canonical are no keys: for
// the former anybody can sign, since what is multiplied with them is one of 8
// points, and the latter are second names of an identity. Both crypto/ed25519 and
// curve25519_sign of Signal's libraries take them.

// fieldOrder is p = 2^255 - 19, little endian, RFC 7748 section 4.1.
var fieldOrder = [32]byte{0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}

// smallYs are the y coordinates of the 8 points of edwards25519 whose order is 1,
// 2, 4 or 8, the cofactor's divisors; each stands for its two signs.
var smallYs = coordinates(
	"1",   // order 1
	"p-1", // order 2
	"0",   // order 4
	"2707385501144840649318225287225658788936804267575313519463743609750303402022",  // order 8
	"55188659117513257062467267217118295137698188065244968500265048394206261417927", // its negative
)

// smallUs are the u coordinates of those points (u = (1+y)/(1-y)), 0 for the point
// at infinity too, and p-1, which is the one of small order on the twist alone.
var smallUs = coordinates(
	"0",
	"1",
	"p-1",
	"325606250916557431795983626356110631294008115727848805560023387167927233504",
	"39382357235489614581723060781553021112529911719440698176882885853963445705823",
)

// coordinates writes numbers below p as 32 bytes, little endian.
func coordinates(numbers ...string) map[[32]byte]bool {
	set := make(map[[32]byte]bool, len(numbers))
	for _, text := range numbers {
		var c [32]byte
		if text == "p-1" {
			c = fieldOrder
			c[0]--
		} else {
			n, ok := new(big.Int).SetString(text, 10)
			if !ok {
				panic("auth: coordinate " + text)
			}
			n.FillBytes(c[:])
			for i := range 16 {
				c[i], c[31-i] = c[31-i], c[i]
			}
		}
		set[c] = true
	}
	return set
}

// isCanonical reports whether a coordinate is less than p.
func isCanonical(c *[32]byte) bool {
	for i := 31; i >= 0; i-- {
		if c[i] != fieldOrder[i] {
			return c[i] < fieldOrder[i]
		}
	}
	return false
}

// isStrongKey reports whether a raw identity key, 32 bytes of Ed25519 or 33 of
// Curve25519, is in its canonical form and of a large order. Whether it is a point
// at all shows when a signature is checked.
func isStrongKey(raw []byte) bool {
	if len(raw) == 33 {
		u := [32]byte(raw[1:])
		return isCanonical(&u) && !smallUs[u]
	}
	y := [32]byte(raw)
	y[31] &= 0x7f // the sign of x, which is 0 for two small points alone
	return isCanonical(&y) && !smallYs[y]
}
