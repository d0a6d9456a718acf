package commandline

import (
	"fmt"
	"strings"

	"poosh/server/doctor"
)

// reportText is a report for a person, with the lines for one proxy, or for all.
func reportText(r doctor.Report, proxy string, s style) string {
	var b strings.Builder
	fmt.Fprintln(&b, s.bold(printable(r.URL)))
	for _, f := range r.Faults {
		fmt.Fprintf(&b, "%s  %s: %s\n", s.red("fault"), s.bold(f.ID), printable(f.Seen))
		fmt.Fprintf(&b, "       %s\n", f.Why)
		if f.Do != "" {
			fmt.Fprintf(&b, "       %s%s.\n", strings.ToUpper(f.Do[:1]), f.Do[1:])
		}
		for _, m := range f.Advice {
			if proxy == "" || m.Proxy == proxy {
				mendText(&b, m, s)
			}
		}
	}
	for _, good := range r.Good {
		fmt.Fprintf(&b, "%s   %s\n", s.green("good"), printable(good))
	}
	for _, n := range r.NotLooked {
		fmt.Fprintf(&b, "%s  %s: %s\n", s.yellow("blind"), printable(n.What), printable(n.Why))
	}
	fmt.Fprintf(&b, "%s, %d looked at and well, %d not looked at", many(len(r.Faults), "fault"), len(r.Good), len(r.NotLooked))
	return b.String()
}

func mendText(b *strings.Builder, m doctor.Mend, s style) {
	fmt.Fprintf(b, "       %s\n", s.dim(m.Proxy+", "+m.Where+":"))
	for _, text := range m.Add {
		for line := range strings.SplitSeq(text, "\n") {
			fmt.Fprintf(b, "         + %s\n", printable(strings.ReplaceAll(line, "\t", "    ")))
		}
	}
	for _, text := range m.Remove {
		fmt.Fprintf(b, "         - %s ...\n", printable(text))
	}
}
