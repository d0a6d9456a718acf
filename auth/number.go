package auth

import (
	"bytes"
	"math"
	"strconv"
)

// parseNumber reads a JSON number as JavaScript does: the nearest double, an
// infinity when it is too large for one.
func parseNumber(text []byte) float64 {
	// The only error possible is ErrRange, and then the value is the infinity.
	f, _ := strconv.ParseFloat(string(text), 64)
	return f
}

// isPrinted reports whether a JSON number stands as JavaScript would print it.
func isPrinted(text []byte) bool {
	digits := text
	if digits[0] == '-' {
		digits = digits[1:]
	}
	// Integers of up to 15 digits are exact in a double; of those only -0 differs.
	if len(digits) <= 15 && skipDigits(digits, 0) == len(digits) {
		return digits[0] != '0' || len(digits) == len(text)
	}
	f := parseNumber(text)
	if math.IsInf(f, 0) {
		return false
	}
	var buf [32]byte
	return bytes.Equal(appendNumber(buf[:0], f), text)
}

// appendNumber appends a finite number as JavaScript prints it: ECMAScript,
// Number::toString with radix 10.
func appendNumber(dst []byte, f float64) []byte {
	if f == 0 { // -0 too
		return append(dst, '0')
	}
	if f < 0 {
		dst = append(dst, '-')
		f = -f
	}
	// strconv finds the same shortest digits that ECMAScript asks for: d.ddde±xx.
	var buf [32]byte
	digits := strconv.AppendFloat(buf[:0], f, 'e', -1, 64)
	e := bytes.IndexByte(digits, 'e')
	exp, _ := strconv.Atoi(string(digits[e+1:]))
	if e > 1 {
		digits[1] = digits[0]
		digits = digits[1:e]
	} else {
		digits = digits[:1]
	}

	// The value is 0.digits times ten to the point.
	point := exp + 1
	switch k := len(digits); {
	case k <= point && point <= 21:
		dst = append(dst, digits...)
		return appendZeros(dst, point-k)
	case 0 < point && point <= 21:
		dst = append(dst, digits[:point]...)
		dst = append(dst, '.')
		return append(dst, digits[point:]...)
	case -6 < point && point <= 0:
		dst = append(dst, '0', '.')
		dst = appendZeros(dst, -point)
		return append(dst, digits...)
	}
	dst = append(dst, digits[0])
	if len(digits) > 1 {
		dst = append(dst, '.')
		dst = append(dst, digits[1:]...)
	}
	dst = append(dst, 'e')
	if exp > 0 {
		dst = append(dst, '+')
	}
	return strconv.AppendInt(dst, int64(exp), 10)
}

func appendZeros(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, '0')
	}
	return dst
}
