package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// keptTogether lists the apps that are Together, in one order: where their rooms are hangs on it, so
// nodes that say otherwise would not hear each other.
func (c *Cluster) keptTogether() string {
	var list []string
	for _, app := range c.opt.Apps {
		if c.together(app) {
			list = append(list, app)
		}
	}
	return listed(list)
}

// listed is how nodes compare apps.
func listed(apps []string) string {
	list := make([]string, len(apps))
	for i, app := range apps {
		list[i] = strconv.Quote(app) // the name of one is empty
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), " ")
}

// errKept says that nodes keep the events of other apps than this one.
func errKept(theirs, ours string) error {
	return fmt.Errorf("HISTORY, PUSHER_HISTORY: differ from those of the nodes that are there, which keep the events of %s, and this one of %s: want the same on all of them, or to end all before it is changed", namesOf(theirs), namesOf(ours))
}

// namesOf is such a list for an operator.
func namesOf(list string) string {
	if list == "" {
		return "no app"
	}
	return fmt.Sprintf("%.200s", list)
}
