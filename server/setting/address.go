package setting

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Host is the address or name that ports listen on.
func Host(at *string) Value {
	return Of(at, func(text string) (string, error) {
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
	})
}

const hostChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_."

// Networks is a list of addresses and of networks in CIDR form, or none, which is
// empty but not nil.
func Networks(at *[]netip.Prefix) Value {
	return Of(at, func(text string) ([]netip.Prefix, error) {
		wanted := errors.New("want addresses and networks such as 10.0.0.0/8 with commas between, or none")
		list := []netip.Prefix{}
		if strings.EqualFold(text, "none") {
			return list, nil
		}
		for _, word := range Words(text) {
			prefix, ok := ParseNetwork(word)
			if !ok {
				return nil, wanted
			}
			list = append(list, prefix)
		}
		if len(list) == 0 {
			return nil, wanted
		}
		return list, nil
	})
}

// ParseNetwork reads an address, which is a network of one, or a network in CIDR form. What
// is IPv4 written as IPv6 is IPv4. ok is false for anything else.
func ParseNetwork(word string) (prefix netip.Prefix, ok bool) {
	prefix, err := netip.ParsePrefix(word)
	if err != nil {
		addr, err := netip.ParseAddr(word)
		if err != nil || addr.Zone() != "" {
			return prefix, false
		}
		prefix = netip.PrefixFrom(addr, addr.BitLen())
	}
	// ::ffff:10.0.0.0/104 is 10.0.0.0/8 to the person who wrote it.
	if a := prefix.Addr(); a.Is4In6() && prefix.Bits() >= 96 {
		prefix = netip.PrefixFrom(a.Unmap(), prefix.Bits()-96)
	}
	return prefix.Masked(), true
}

// Origins is the origins of pages, as browsers write them in the Origin header, or *
// alone.
func Origins(at *[]string) Value {
	return Of(at, func(text string) ([]string, error) {
		var list []string
		for _, word := range Words(text) {
			origin, ok := parseOrigin(word)
			if !ok {
				return nil, errors.New("want * for all, or origins such as https://example.com with commas between")
			}
			list = append(list, origin)
		}
		if len(list) > 1 && slices.Contains(list, "*") {
			return nil, errors.New("want * alone, or origins without it")
		}
		return list, nil
	})
}

// parseOrigin returns an origin in the form that browsers send: without the port that
// its scheme has anyway.
func parseOrigin(text string) (origin string, ok bool) {
	text = strings.ToLower(text)
	if text == "*" || text == "null" {
		return text, true
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme == "" || u.Host == "" && u.Scheme != "file" || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", false
	}
	if u.Scheme == "http" && u.Port() == "80" || u.Scheme == "https" && u.Port() == "443" {
		u.Host = strings.TrimSuffix(u.Host, ":"+u.Port())
	}
	return u.Scheme + "://" + u.Host, true
}
