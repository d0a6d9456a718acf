package cluster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Keeping is how much is kept of an app, in bytes as its log counts them, and for how long. The zero
// one is of an app of which nothing is kept any more.
type Keeping struct {
	Bytes int64         `json:"bytes"`
	Age   time.Duration `json:"age"`
}

// with is what two nodes keep together.
func (k Keeping) with(other Keeping) Keeping {
	return Keeping{max(k.Bytes, other.Bytes), max(k.Age, other.Age)}
}

// keptIn lists the apps whose events the engine keeps in a partition, in the order of their names.
func (c *Cluster) keptIn(p *partition) (list []string) {
	if c.opt.Keeping == nil {
		return nil
	}
	list = c.togetherIn(p)
	slices.Sort(list)
	return slices.Compact(list)
}

// togetherIn lists the apps that are in a partition as a whole.
func (c *Cluster) togetherIn(p *partition) (list []string) {
	if p.index == partitions {
		return nil
	}
	for _, app := range c.opt.Apps {
		if c.together(app) && c.partition(app, "", true) == p {
			list = append(list, app)
		}
	}
	return list
}

// keepArgs are what scripts/keep.lua is to know of the apps that are kept in the partition: it keeps what
// the node needs that keeps most.
func (p *partition) keepArgs() []string {
	args := []string{strconv.Itoa(len(p.kept))}
	for _, app := range p.kept {
		k := p.c.opt.Keeping(app)
		if others := p.c.keeping.Load(); others != nil && k.Bytes > 0 {
			k = k.with((*others)[app])
		}
		args = append(args, app, strconv.FormatInt(k.Bytes, 10), strconv.FormatInt(k.Age.Milliseconds(), 10))
	}
	return args
}

// keptNames is how scripts/keep.lua names the apps that are kept in the partition.
func (p *partition) keptNames() string {
	var b strings.Builder
	for _, app := range p.kept {
		b.WriteString(netstring(app))
	}
	return b.String()
}

// keeps is what this node keeps of its apps, for the others; nil for nothing.
func (c *Cluster) keeps() map[string]Keeping {
	var keeps map[string]Keeping
	for _, p := range c.parts {
		for _, app := range p.kept {
			if keeps == nil {
				keeps = make(map[string]Keeping)
			}
			keeps[app] = c.opt.Keeping(app)
		}
	}
	return keeps
}

// learnKeeping notes how much any node keeps.
func (c *Cluster) learnKeeping(nodes map[string]Node) {
	most := make(map[string]Keeping)
	for _, n := range nodes {
		for app, k := range n.Keeps {
			most[app] = most[app].with(k)
		}
	}
	c.keeping.Store(&most)
}

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
	names := strings.Split(list, " ")
	for i, name := range names {
		if name == `""` { // of what came first
			names[i] = "POST /send"
		}
	}
	return fmt.Sprintf("%.200s", strings.Join(names, ", "))
}
