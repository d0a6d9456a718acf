package migration

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"poosh/server/rate"
	"poosh/server/setting"
)

// converted is what a value means to Poosh: an int, a bool, a text or a list, or nil
// where nothing is to be set.
type converted struct {
	value any
	says  string
	look  bool
}

// A converter says what a value means to Poosh. It never tells the value of a text.
type converter func(v any) converted

// wrong is what is said of a value that cannot be what it is.
func wrong(v any, want string) converted {
	switch v := v.(type) {
	case expression:
		return converted{says: "is PHP that would have to be run: set it by hand", look: true}
	case unset:
		return converted{says: "is the variable " + v.Name + " of the environment, which is not known: name its file with --env", look: true}
	}
	return converted{says: "has a value that cannot be read: want " + want, look: true}
}

// count is a whole number from least to most.
func count(least, most int) converter { return scaled(1, least, most) }

// kib and mib are sizes in units of 1,024 and 1,048,576 bytes, and become bytes.
func kib(least, most int) converter { return scaled(1024, least, most) }
func mib(least, most int) converter { return scaled(1<<20, least, most) }

// scaled is a number in some unit that becomes a whole number of ones.
func scaled(unit float64, least, most int) converter {
	return func(v any) converted {
		if isEmpty(v) {
			return converted{}
		}
		n, ok := numberOf(v)
		if !ok {
			return wrong(v, "a number")
		}
		return bounded(math.Floor(n*unit), float64(least), float64(most), func(n float64) any { return int(n) })
	}
}

// bounded takes the nearest of what is allowed, and says if that is another one.
func bounded(n, least, most float64, as func(float64) any) converted {
	switch {
	case n < least:
		v := as(least)
		return converted{v, fmt.Sprintf("is less than Poosh takes, which is %v", v), true}
	case n > most:
		v := as(most)
		return converted{v, fmt.Sprintf("is more than Poosh takes, which is %v", v), true}
	}
	return converted{value: as(n)}
}

// span is a number of some unit of time, and becomes a text such as 1m30s.
func span(unit, least, most time.Duration) converter {
	return func(v any) converted {
		if isEmpty(v) {
			return converted{}
		}
		n, ok := numberOf(v)
		if !ok {
			return wrong(v, "a number")
		}
		return bounded(n*float64(unit), float64(least), float64(most), func(n float64) any {
			return setting.SpanText(time.Duration(n))
		})
	}
}

// unless leaves a number out that stands for no limit, which is any below least.
func unless(least float64, c converter) converter {
	return func(v any) converted {
		if n, ok := numberOf(v); ok && n < least {
			return converted{says: "no limit, as here without the key"}
		}
		return c(v)
	}
}

// each is how often something may happen in a second, or off below least.
func each(least float64) converter {
	return func(v any) converted {
		n, ok := numberOf(v)
		switch {
		case isEmpty(v):
			return converted{}
		case !ok:
			return wrong(v, "a number")
		case n < least:
			return converted{value: "off"}
		case n < 1:
			return converted{"1/1s", "allows none there, and one in a second is the least here: client_events false allows none", true}
		}
		return bounded(n, 1, mostLimit, func(n float64) any { return rate.Rate{Limit: int(n), Per: time.Second}.String() })
	}
}

// The most of something that a rate may allow, in how many seconds.
const (
	mostLimit   = math.MaxInt32
	mostSeconds = 24 * 60 * 60
)

// toggle is a switch.
func toggle(v any) converted {
	if isEmpty(v) {
		return converted{}
	}
	b, ok := boolOf(v)
	if !ok {
		return wrong(v, "true or false")
	}
	return converted{value: b}
}

// words is any text, or a number or switch that stands for its text.
func words(v any) converted {
	if isEmpty(v) {
		return converted{}
	}
	text, ok := textOf(v)
	if !ok {
		return wrong(v, "a text")
	}
	return converted{value: text}
}

// needed is words that nothing works without.
func needed(v any) converted {
	if isEmpty(v) {
		return wrong(v, "a text")
	}
	return words(v)
}

// pattern is a regular expression.
func pattern(v any) converted {
	got := words(v)
	if text, ok := got.value.(string); ok {
		if _, err := regexp.Compile(text); err != nil {
			return converted{says: "is no regular expression as Go has it: the webhook is told of all channels", look: true}
		}
	}
	return got
}

// prefix is the beginning of a path, without the / at its end.
func prefix(v any) converted {
	got := words(v)
	if got.value == nil {
		return got
	}
	path := strings.TrimRight(got.value.(string), "/")
	switch {
	case path == "":
		return converted{says: "there is no prefix"}
	case strings.ContainsAny(path, "?#% \t"):
		return converted{says: "is no path without escapes, which PUSHER_PATH_PREFIX wants", look: true}
	case !strings.HasPrefix(path, "/"):
		path = "/" + path
	}
	return converted{value: path}
}

// numberOf reads a number, or a text that is one.
func numberOf(v any) (float64, bool) {
	var n float64
	var err error
	switch v := v.(type) {
	case json.Number:
		n, err = v.Float64()
	case string:
		n, err = strconv.ParseFloat(strings.TrimSpace(v), 64)
	case int64:
		n = float64(v)
	case float64:
		n = v
	default:
		return 0, false
	}
	return n, err == nil && !math.IsNaN(n) && !math.IsInf(n, 0)
}

// boolOf reads a switch, or a text that is one in any of the servers.
func boolOf(v any) (on, ok bool) {
	switch v := v.(type) {
	case bool:
		return v, true
	case string:
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "true", "1", "yes", "on":
			return true, true
		case "false", "0", "no", "off", "":
			return false, true
		}
	default:
		if n, ok := numberOf(v); ok {
			return n != 0, true
		}
	}
	return false, false
}

// textOf is the text of a value that has one.
func textOf(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case int64:
		return strconv.FormatInt(v, 10), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	case bool:
		return strconv.FormatBool(v), true
	}
	return "", false
}

// textsOf is a list of texts, or one text with commas between.
func textsOf(v any) ([]string, bool) {
	switch v := v.(type) {
	case []any:
		list := make([]string, 0, len(v))
		for _, item := range v {
			text, ok := textOf(item)
			if !ok {
				return nil, false
			}
			list = append(list, strings.TrimSpace(text))
		}
		return list, true
	case string:
		list := strings.Split(v, ",")
		for i := range list {
			list[i] = strings.TrimSpace(list[i])
		}
		return list, true
	}
	return nil, isEmpty(v)
}

// origins are the pages that may connect. Sockudo and Reverb have patterns with a * at any place;
// Poosh has it for all hosts below one alone.
func origins(v any) converted {
	list, ok := textsOf(v)
	if !ok {
		return wrong(v, "a list of hosts")
	}
	var kept []string
	var says []string
	for _, origin := range list {
		got, note := originOf(origin)
		if got != "" {
			kept = append(kept, got)
		}
		if note != "" {
			says = append(says, note)
		}
	}
	if len(kept) == 0 && len(says) == 0 {
		return converted{says: "empty: pages of all origins may connect"}
	}
	if len(kept) == 0 {
		return converted{says: strings.Join(says, "; ") + "; nothing is left of the list, so pages of all origins may connect", look: true}
	}
	return converted{kept, strings.Join(says, "; "), len(says) > 0}
}

// originOf returns what Poosh has for a pattern of origins, and what is different.
func originOf(pattern string) (origin, says string) {
	if i := strings.LastIndex(pattern, "@"); i >= 0 { // what is before may be a password
		scheme := ""
		if before, _, found := strings.Cut(pattern[:i], "://"); found {
			scheme = before + "://"
		}
		origin, says = originOf(scheme + pattern[i+1:])
		return origin, join("the name before the @ of an origin is left out", says, ", and ")
	}
	switch {
	case pattern == "":
		return "", ""
	case pattern == "*", strings.EqualFold(pattern, "any"):
		return "*", ""
	case strings.ContainsAny(pattern, " \t\"'"):
		return "", shown(pattern) + " is no origin and is left out"
	case !strings.Contains(pattern, "*"):
		return pattern, ""
	}
	host := pattern
	if _, rest, found := strings.Cut(pattern, "://"); found {
		host = rest
	}
	host, port, hasPort := strings.Cut(host, ":")
	below := strings.TrimPrefix(host, "*.")
	if strings.Contains(below, "*") || below == "" || hasPort && strings.Trim(port, "*0123456789") != "" {
		return "", shown(pattern) + " is left out: Poosh has * for all hosts below one alone, such as *.example.com"
	}
	if host != pattern {
		return host, shown(pattern) + " became " + shown(host) + ", of any scheme and port"
	}
	return host, ""
}
