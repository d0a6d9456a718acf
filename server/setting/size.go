package setting

import (
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// The units that a size may be given in.
var sizeUnits = []struct {
	name  string
	bytes uint64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1},
}

// Size is a number of bytes. The bounds are written as the person would write them,
// and must fit T on every platform.
func Size[T int | int64](at *T, least, most string) Value {
	return Of(at, func(text string) (T, error) {
		low, _ := ParseSize(least)
		high, _ := ParseSize(most)
		n, err := ParseSize(text)
		if err != nil || n < low || n > high {
			return 0, fmt.Errorf("want a size from %s to %s, in bytes or with KB, MB, GB, KiB, MiB or GiB", least, most)
		}
		return T(n), nil
	})
}

var errSize = errors.New("not a size")

// ParseSize reads a whole number of bytes with or without a unit, in upper or
// lower case: KB is 1,000 and KiB is 1,024.
func ParseSize(text string) (int64, error) {
	number, unit := strings.ToLower(text), uint64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(number, strings.ToLower(u.name)); ok {
			number, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseUint(number, 10, 63)
	if err != nil {
		return 0, errSize
	}
	high, low := bits.Mul64(n, unit)
	if high != 0 || low>>63 != 0 {
		return 0, errSize
	}
	return int64(low), nil
}

// SizeText writes a number of bytes as one would write it: 32MiB, not 33554432.
func SizeText(n int64) string {
	for _, i := range []int{2, 1, 0} {
		if u := sizeUnits[i]; n > 0 && uint64(n)%u.bytes == 0 {
			return strconv.FormatInt(n/int64(u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}
