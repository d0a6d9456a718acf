package setting

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"poosh/server/rate"
)

// A Value is a field that a setting fills.
type Value interface {
	// Set stores what text means, or says what would be right instead.
	Set(text string) error
	// IsZero reports whether the field still waits for its default.
	IsZero() bool
	// Get returns what the field is.
	Get() any
}

// place is the field at, filled by parse.
type place[T any] struct {
	at    *T
	parse func(text string) (T, error)
}

// Of is the field at, whose texts parse reads: for what the functions below are not.
func Of[T any](at *T, parse func(text string) (T, error)) Value { return place[T]{at, parse} }

func (p place[T]) Set(text string) error {
	value, err := p.parse(text)
	if err == nil {
		*p.at = value
	}
	return err
}

func (p place[T]) IsZero() bool { return reflect.ValueOf(p.at).Elem().IsZero() }
func (p place[T]) Get() any     { return *p.at }

// AnyPort, in a field that holds a port, means any free one.
const AnyPort = -1

// Port is a TCP port; the text 0 becomes AnyPort.
func Port(at *int) Value { return Of(at, ParsePort) }

// ParsePort reads a port as [Port] does.
func ParsePort(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, errors.New("want a port number from 1 to 65535, or 0 for any free port")
	}
	if n == 0 {
		return AnyPort, nil
	}
	return int(n), nil
}

// Count is a number of things.
func Count(at *int, least, most int) Value {
	return Of(at, func(text string) (int, error) {
		n, err := strconv.ParseUint(text, 10, 31)
		if err != nil || int(n) < least || int(n) > most {
			return 0, fmt.Errorf("want a whole number from %d to %d", least, most)
		}
		return int(n), nil
	})
}

// Span is a length of time: what time.ParseDuration takes, or a plain number of
// seconds.
func Span[T ~int64](at *T, least, most time.Duration) Value {
	return Of(at, func(text string) (T, error) {
		if strings.Trim(text, "0123456789") == "" {
			text += "s"
		}
		d, err := time.ParseDuration(text)
		if err != nil || d < least || d > most {
			return 0, fmt.Errorf("want a time from %s to %s, such as 90s, 1m30s or 90 (seconds)", SpanText(least), SpanText(most))
		}
		return T(d), nil
	})
}

// SpanText writes a length of time as one would write it: 1m, not 1m0s.
func SpanText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Choice is one of several words, in upper or lower case.
func Choice[T any](at *T, words []string, values []T) Value {
	return Of(at, func(text string) (T, error) {
		if i := slices.Index(words, strings.ToLower(text)); i >= 0 {
			return values[i], nil
		}
		var none T
		last := len(words) - 1
		return none, fmt.Errorf("want %s or %s", strings.Join(words[:last], ", "), words[last])
	})
}

// Switch is on or off.
func Switch(at *bool) Value {
	return Choice(at, []string{"on", "off", "true", "false"}, []bool{true, false, true, false})
}

// Text is any text; what it means is checked later.
func Text(at *string) Value {
	return Of(at, func(text string) (string, error) { return text, nil })
}

// Texts is any texts with commas between.
func Texts(at *[]string) Value {
	return Of(at, func(text string) ([]string, error) {
		parts := strings.Split(text, ",")
		for i := range parts {
			parts[i] = strings.TrimSpace(parts[i])
		}
		return parts, nil
	})
}

// Words splits a list of words with commas, spaces or both between.
func Words(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}

// Rate is a number of things in a time, such as 100/60s, or off, in upper or lower case.
// example is what a person who was wrong is shown.
func Rate(at *rate.Rate, example string) Value {
	return Of(at, func(text string) (r rate.Rate, err error) {
		if r.UnmarshalText([]byte(strings.ToLower(text))) != nil {
			err = errors.New("want a number and a time such as " + example + ", or off")
		}
		return r, err
	})
}
