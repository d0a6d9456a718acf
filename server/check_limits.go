package server

import (
	"fmt"
	"net/netip"
	"strings"

	"poosh/server/setting"
)

// limits warns of bounds that cannot be met, since another one is met before.
func (c *Config) limits() (lines []string) {
	n := &c.Network
	share := func(bytes int64) int64 { return bytes / 4 / 8 * 7 } // of one address, who holds much; see package quota
	// A head counts too, and what is held is held in blocks.
	input, rooms := share(n.InputBytes)-heads, share(n.RoomBytes)
	// Of senders: what the loop reads, and what net/http does; see [Server.add].
	sent := min(share(n.InputBytes/4*3)-heads, plainBody)
	if large := share(n.InputBytes/4) - heads; large > plainBody {
		sent = large
	}
	for _, g := range c.groups {
		for _, b := range g.Within {
			most := c.number(b.Of)
			switch {
			case b.Of == "INPUT_BYTES" && b.Sent:
				most = sent
			case b.Of == "INPUT_BYTES":
				most = input
			case b.Of == "ROOM_BYTES":
				most = rooms / b.Each()
			}
			if value := c.number(b.Name); value > most && most > 0 && c.isOn(b.Name) {
				lines = append(lines, fmt.Sprintf("%s is %d, and about %d is the most that can be: %s", b.Name, value, most, b.Why))
			}
		}
	}
	for _, pair := range [][2]string{
		{"MAX_CONNECTIONS_PER_ADDRESS", "MAX_CONNECTIONS"}, {"MAX_SENDER_CONNECTIONS_PER_ADDRESS", "MAX_SENDER_CONNECTIONS"},
		{"MAX_UNFINISHED_PER_ADDRESS", "MAX_CONNECTIONS"},
	} {
		if of, all := c.number(pair[0]), c.number(pair[1]); of > all && fmt.Sprint(of) != c.standard(pair[0]) {
			lines = append(lines, fmt.Sprintf("%s is %d, and %s only %d: one address may take all places; want less than that", pair[0], of, pair[1], all))
		}
	}
	return append(lines, c.memory()...)
}

// heads is room for the head of a request.
const heads = headerBytes + 4<<10

// memory warns of bounds that are together more than there is.
func (c *Config) memory() []string {
	n := &c.Network
	all := 2*n.InputBytes + n.RoomBytes + 3*n.BacklogBytes
	if most, ok := MemoryLimit(); ok && all > most {
		return []string{fmt.Sprintf("INPUT_BYTES, ROOM_BYTES and BACKLOG_BYTES allow %s to wait (twice, once and three times), and there are %s of memory: want less of them",
			mebibytes(all), mebibytes(most))}
	}
	return nil
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", n>>20) }

// number is what a setting is set to that is a number; 0 for others.
func (c *Config) number(name string) int64 {
	switch n := c.Value(name).(type) {
	case int:
		return int64(n)
	case int64:
		return n
	}
	return 0
}

// standard is the default of a setting, as it is written.
func (c *Config) standard(name string) string {
	for _, g := range c.groups {
		for _, s := range g.Settings {
			if s.Name == name {
				return s.Default
			}
		}
	}
	return ""
}

// doubts warns of what others may do with these settings.
func (c *Config) doubts() (lines []string) {
	var public []string
	for _, p := range c.Network.TrustedProxies {
		switch {
		case p.Bits() == 0:
			lines = append(lines, fmt.Sprintf("TRUSTED_PROXIES has %s, which is everybody: every client may say that it is another one; want the addresses of your proxies alone", p))
		case !p.IsSingleIP() && isPublic(p.Addr()):
			public = append(public, p.String())
		}
	}
	if len(public) > 0 {
		lines = append(lines, fmt.Sprintf("TRUSTED_PROXIES has public networks, %s: whoever has an address there may say that it is another one; right only if all of them are proxies of yours", strings.Join(public, ", ")))
	}
	if c.Admin.On() && c.Admin.Token == "" {
		lines = append(lines, "ADMIN_TOKEN is not set: every user and program of this machine may come to ADMIN_PORT; want a token, such as `openssl rand -hex 32` prints")
	}
	lines = append(lines, setting.WeakSecret("ADMIN_TOKEN", c.Admin.Token)...)
	return append(lines, c.origins()...)
}

// sharedAddresses is RFC 6598's, which providers use inside.
var sharedAddresses = netip.MustParsePrefix("100.64.0.0/10")

// isPublic reports whether an address may be anybody's.
func isPublic(a netip.Addr) bool {
	return !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !sharedAddresses.Contains(a)
}

// origins warns of pages that no browser is on: what stands there is compared to the
// letter with what a browser says.
func (c *Config) origins() (lines []string) {
	var names []string
	for _, g := range c.groups {
		names = append(names, g.Origins...)
	}
	for _, name := range names {
		list, _ := c.Value(name).([]string)
		for _, origin := range list {
			_, host, whole := strings.Cut(origin, "://")
			if !whole {
				host = strings.TrimPrefix(origin, "*.")
			}
			switch {
			case !c.isOn(name) || origin == "*" || origin == "null":
			case strings.Contains(host, "/"):
				lines = append(lines, fmt.Sprintf("%s has %s, which no page has for its origin: want it without a path, and without a slash at its end", name, setting.Shown(origin)))
			case strings.Contains(host, "*"):
				lines = append(lines, fmt.Sprintf("%s has %s, in which * stands for itself, so that it is no page's: want each host by its name", name, setting.Shown(origin)))
			}
		}
	}
	return lines
}
