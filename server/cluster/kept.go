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
			list = append(list, strconv.Quote(app)) // the name of one is empty
		}
	}
	slices.Sort(list)
	return strings.Join(slices.Compact(list), " ")
}

// namesOf is such a list for an operator.
func namesOf(list string) string {
	if list == "" {
		return "no app"
	}
	return fmt.Sprintf("%.200s", list)
}
