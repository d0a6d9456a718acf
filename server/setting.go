package server

import (
	"errors"
	"fmt"
	"math/bits"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Setting describes one name of the environment to the person who may set it.
type Setting struct {
	Group   string // heading it stands under
	Name    string
	Default string // as one would write it; empty means none
	Help    string // one line
}

// A setting is one name of the environment and the field of Config that it fills.
type setting struct {
	name, def, help string // as in Setting
	field           field
	secret          bool // its value must not be shown
	emptyWrong      bool // set but empty is a mistake, not the same as unset
}

// A group is the settings that stand under one heading: those of a dialect, which
// keeps them in a file of its own, or some that dialects share.
type group struct {
	title    string
	settings []setting
	// gather fills what stands under names that are patterns; nil without any.
	gather func(c *Config, m *mistakes, lookup func(string) (string, bool), names []string)
	// on reports whether the settings ask for this dialect; nil for a group that
	// is none.
	on func(*Config) bool
	// check reports what is wrong between settings that are each right. It runs
	// when all defaults are in place; nil when nothing can be.
	check func(*Config, *mistakes)
	// warn returns what is taken but not wise, as [Config.Warnings] does; nil when
	// nothing can be.
	warn func(*Config) []string
}

// A field parses a setting's text into its place in a Config.
type field interface {
	// set stores what text means, or says what would be right instead.
	set(c *Config, text string) error
	// isZero reports whether the field still waits for its default.
	isZero(c *Config) bool
}

// place is the field that at points to, filled by parse.
type place[T any] struct {
	at    func(*Config) *T
	parse func(text string) (T, error)
}

func (p place[T]) set(c *Config, text string) error {
	value, err := p.parse(text)
	if err == nil {
		*p.at(c) = value
	}
	return err
}

func (p place[T]) isZero(c *Config) bool { return reflect.ValueOf(p.at(c)).Elem().IsZero() }

// portNumber is a field for a TCP port; the text 0 becomes AnyPort.
func portNumber(at func(*Config) *int) field {
	return place[int]{at, func(text string) (int, error) {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return 0, errors.New("want a port number from 1 to 65535, or 0 for any free port")
		}
		if n == 0 {
			return AnyPort, nil
		}
		return int(n), nil
	}}
}

// count is a field for a number of things.
func count(at func(*Config) *int, least, most int) field {
	return place[int]{at, func(text string) (int, error) {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil || int(n) < least || int(n) > most {
			return 0, fmt.Errorf("want a whole number from %d to %d", least, most)
		}
		return int(n), nil
	}}
}

// span is a field for a length of time: what time.ParseDuration takes, or a plain
// number of seconds.
func span(at func(*Config) *time.Duration, least, most time.Duration) field {
	return place[time.Duration]{at, func(text string) (time.Duration, error) {
		if strings.Trim(text, "0123456789") == "" {
			text += "s"
		}
		d, err := time.ParseDuration(text)
		if err != nil || d < least || d > most {
			return 0, fmt.Errorf("want a time from %s to %s, such as 90s, 1m30s or 90 (seconds)",
				shortDuration(least), shortDuration(most))
		}
		return d, nil
	}}
}

// shortDuration writes 1m0s as 1m.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// The units that a size may be given in.
var sizeUnits = []struct {
	name  string
	bytes uint64
}{
	{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30},
	{"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"b", 1},
}

// size is a field for a number of bytes. The bounds are written as the person
// would write them, and must fit T on every platform.
func size[T int | int64](at func(*Config) *T, least, most string) field {
	return place[T]{at, func(text string) (T, error) {
		low, _ := parseSize(least)
		high, _ := parseSize(most)
		n, err := parseSize(text)
		if err != nil || n < low || n > high {
			return 0, fmt.Errorf("want a size from %s to %s, in bytes or with KB, MB, GB, KiB, MiB or GiB", least, most)
		}
		return T(n), nil
	}}
}

var errSize = errors.New("not a size")

// parseSize reads a whole number of bytes with or without a unit, in upper or
// lower case: KB is 1,000 and KiB is 1,024.
func parseSize(text string) (int64, error) {
	number, unit := strings.ToLower(text), uint64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
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

// choice is a field for one of several words, in upper or lower case.
func choice[T any](at func(*Config) *T, words []string, values []T) field {
	return place[T]{at, func(text string) (T, error) {
		if i := slices.Index(words, strings.ToLower(text)); i >= 0 {
			return values[i], nil
		}
		var none T
		last := len(words) - 1
		return none, fmt.Errorf("want %s or %s", strings.Join(words[:last], ", "), words[last])
	}}
}

// host is a field for the address or name that a port listens on.
func host(at func(*Config) *string) field {
	return place[string]{at, func(text string) (string, error) {
		bare := strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
		if _, err := netip.ParseAddr(bare); err == nil {
			return bare, nil
		}
		// A name's last label is never a number (RFC 1123, section 2.1): 127.0.1
		// and 300.1.1.1 are addresses gone wrong.
		labels := strings.Split(text, ".")
		last := labels[len(labels)-1]
		if len(text) <= 253 && !slices.Contains(labels, "") && strings.Trim(text, hostChars) == "" &&
			strings.Trim(last, "0123456789") != "" {
			return text, nil
		}
		return "", errors.New("want an address such as 127.0.0.1 or ::1, or a host name, without a port")
	}}
}

const hostChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

// networks is a field for a list of addresses and of networks in CIDR form.
func networks(at func(*Config) *[]netip.Prefix) field {
	return place[[]netip.Prefix]{at, func(text string) ([]netip.Prefix, error) {
		wanted := errors.New("want addresses and networks such as 10.0.0.0/8 with commas between, or none")
		list := []netip.Prefix{}
		if strings.EqualFold(text, "none") {
			return list, nil
		}
		for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
			prefix, err := netip.ParsePrefix(word)
			if err != nil {
				addr, err := netip.ParseAddr(word)
				if err != nil || addr.Zone() != "" {
					return nil, wanted
				}
				prefix = netip.PrefixFrom(addr, addr.BitLen())
			}
			// ::ffff:10.0.0.0/104 is 10.0.0.0/8 to the person who wrote it.
			if a := prefix.Addr(); a.Is4In6() && prefix.Bits() >= 96 {
				prefix = netip.PrefixFrom(a.Unmap(), prefix.Bits()-96)
			}
			list = append(list, prefix.Masked())
		}
		if len(list) == 0 {
			return nil, wanted
		}
		return list, nil
	}}
}

// maxScript bounds a file that is served as the client's script, in bytes.
const maxScript = 10 << 20

// script is a field for a URL that is redirected to or a file that is served.
func script(at func(*Config) *string) field {
	return place[string]{at, func(text string) (string, error) {
		if strings.Contains(text, "://") {
			u, err := url.Parse(text)
			if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "http" && u.Scheme != "https") {
				return "", errors.New("want an http or https address, or the path of a file")
			}
			return u.String(), nil
		}
		f, err := os.Open(text)
		if err != nil {
			var path *os.PathError
			if errors.As(err, &path) {
				err = path.Err
			}
			return "", fmt.Errorf("%w: want an http or https address, or the path of a file", err)
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil || !info.Mode().IsRegular() || info.Size() == 0 || info.Size() > maxScript {
			return "", errors.New("not a file of 1 byte to 10 MiB: want an http or https address, or the path of a file")
		}
		return text, nil
	}}
}
