package migration

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"poosh/server"
	"poosh/server/pusher"
	"poosh/server/rate"
	"poosh/server/setting"
)

// A draft is what Poosh is to be told, as far as it is known.
type draft struct {
	source *source
	set    map[string]string // settings, by name
	apps   []*appDraft       // in the order in which they were found
	at     map[string]*appDraft
	values map[string]any  // all that was found, by path
	names  map[string]bool // of what was found and counts
	last   []func()        // what is done when all entries are taken

	unknowns int // keys that their server has not
	report   *Report
}

// An appDraft is one application: the keys of the file of apps, and its webhooks.
type appDraft struct {
	at     string // its place in their list
	fields map[string]any
	hooks  []*hookDraft
	hookAt map[string]*hookDraft
}

// A hookDraft is one webhook.
type hookDraft struct {
	at     string
	fields map[string]any
}

func newDraft(s *source) *draft {
	return &draft{source: s, set: make(map[string]string), values: make(map[string]any), names: make(map[string]bool), at: make(map[string]*appDraft),
		report: &Report{Source: s.name, Product: s.product, Known: s.version}}
}

// take has the rules say what becomes of entries.
func (d *draft) take(entries []entry) {
	for i := range entries {
		if entries[i].over == "" {
			d.values[entries[i].key()] = entries[i].value
			d.names[entries[i].name] = true
		}
	}
	for i := range entries {
		e := &entries[i]
		r, inner := d.source.table().find(e.path)
		switch {
		case e.over != "" && r != nil:
			d.report.add(Key{Key: e.name, Says: e.over})
		case r != nil:
			d.apply(r, e)
		case inner && isEmpty(e.value):
			d.report.add(Key{Key: e.name, Says: "is empty"})
		default:
			d.unknown(e)
		}
	}
}

// finish makes what follows from several keys, when all entries are taken.
func (d *draft) finish() {
	for _, do := range d.last {
		do()
	}
	d.source.finish(d)
	d.settle()
}

func (d *draft) apply(r *rule, e *entry) {
	var t taken
	if r.take != nil {
		t = r.take(d, e)
	}
	look := r.look != nil && r.look(e.value)
	switch {
	case t.says != "":
	case r.look == nil || look:
		t.says = r.says
	case isEmpty(e.value):
		t.says = "is empty"
	default:
		t.says = cmp.Or(r.same, r.says)
	}
	if t.says == "" && t.as == "" && t.later == nil {
		t.says = "is not set"
	}
	d.report.add(Key{Key: e.name, Becomes: t.as, Says: t.says, Look: t.look || look, later: t.later})
}

// settle says what became of keys that count only together with others.
func (d *draft) settle() {
	for i := range d.report.Keys {
		k := &d.report.Keys[i]
		for _, name := range k.later {
			if value, found := d.set[name]; found {
				k.Becomes = join(k.Becomes, name+"="+value, " and ")
			}
		}
		if k.later != nil && k.Becomes == "" && k.Says == "" {
			k.Says = "nothing changes here"
		}
	}
}

func join(a, b, between string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + between + b
}

// unknown names a key that their server has not, and the nearest that it has.
func (d *draft) unknown(e *entry) {
	path := slices.Clone(e.path)
	for i, name := range path {
		if strings.Trim(name, "0123456789") == "" {
			path[i] = "*"
		}
	}
	says := "is no key of " + d.source.product + " " + d.source.version
	if d.unknowns++; d.unknowns <= manyUnknown {
		if best := d.source.nearest(e.name, strings.Join(path, ".")); best != "" {
			says += ": the nearest is " + best
		}
	}
	d.report.add(Key{Key: e.name, Says: says, Unknown: true, Look: true})
}

// manyUnknown are so many that the file is of another server: finding the nearest for
// each would take too long.
const manyUnknown = 100

// number returns what was found at a path, or a default.
func (d *draft) number(path []string, usual float64) float64 {
	if n, ok := numberOf(d.values[joined(path)]); ok {
		return n
	}
	return usual
}

// switched is number for a switch.
func (d *draft) switched(path []string, usual bool) bool {
	if v := d.values[joined(path)]; !isEmpty(v) {
		if b, ok := boolOf(v); ok {
			return b
		}
	}
	return usual
}

// nearest is a number, or the nearest that Poosh takes for a name, which is noted.
func (d *draft) nearest(name string, n, least, most float64) int {
	taken := math.Floor(min(max(n, least), most))
	if taken != n {
		d.note("%s: the number %v is not one that Poosh takes, the nearest is %.0f.", name, n, taken)
		d.report.Look = true
	}
	return int(taken)
}

// rate is so many in so many seconds as Poosh reads it, the nearest that it takes.
func (d *draft) rate(name string, n, seconds float64) string {
	r := rate.Rate{Limit: d.nearest(name, n, 1, mostLimit), Per: time.Duration(d.nearest(name+", in seconds", seconds, 1, mostSeconds)) * time.Second}
	return r.String()
}

// usual sets what their server has where nothing is said, and Poosh has something else.
func (d *draft) usual(name, value, why string) {
	if d.set[name] == "" {
		d.set[name] = value
		d.report.Added = append(d.report.Added, Added{name + "=" + value, why})
	}
}

// usual is the same for a key of an app.
func (a *appDraft) usual(d *draft, field string, value any, why string) {
	if _, found := a.fields[field]; !found {
		a.fields[field] = value
		d.report.Added = append(d.report.Added, Added{field + " of the app" + fieldText(value), why})
	}
}

// app returns the app at a place of their list, a new one if there is none.
func (d *draft) app(at string) *appDraft {
	a := d.at[at]
	if a == nil {
		a = &appDraft{at: at, fields: make(map[string]any), hookAt: make(map[string]*hookDraft)}
		d.apps, d.at[at] = append(d.apps, a), a
	}
	return a
}

func (a *appDraft) hook(at string) *hookDraft {
	h := a.hookAt[at]
	if h == nil {
		h = &hookDraft{at, make(map[string]any)}
		a.hooks, a.hookAt[at] = append(a.hooks, h), h
	}
	return h
}

// place is the name behind another one in a path.
func place(path []string, behind string) string {
	for i := len(path) - 2; i >= 0; i-- {
		if path[i] == behind {
			return path[i+1]
		}
	}
	return "0"
}

// appOf returns the app that a path is in.
func (d *draft) appOf(path []string) *appDraft { return d.app(place(path, "apps")) }

// hookOf returns the webhook that a path is in.
func (d *draft) hookOf(path []string) *hookDraft { return d.appOf(path).hook(place(path, "webhooks")) }

// config is an app as Poosh would have it, as far as its size matters.
func (d *draft) config(a *appDraft) pusher.App {
	number := func(field, name string) int {
		if n, ok := a.fields[field].(int); ok {
			return n
		}
		n, _ := numberOf(d.set[name])
		return int(n)
	}
	return pusher.App{
		MaxEventBytes:    number("max_event_bytes", "PUSHER_MAX_EVENT_BYTES"),
		MaxMembers:       number("max_presence_members", "PUSHER_MAX_MEMBERS"),
		MaxUserInfoBytes: number("max_presence_user_info_bytes", "PUSHER_MAX_USER_INFO_BYTES"),
		MaxBatch:         number("max_batch_events", "PUSHER_MAX_BATCH"),
	}.WithDefaults()
}

// What Poosh takes at the most.
const (
	wideOutbox = 16 << 20 // from there on a person should know of it
	mostOutbox = 1 << 30
	mostBody   = 64 << 20
)

// settings are all that Poosh has, which do not change.
var settings = sync.OnceValue(server.Settings)

// bytesOf is what a setting of a size is where nothing is said.
func bytesOf(name string) int {
	for _, s := range settings() {
		if s.Name == name {
			if n, err := setting.ParseSize(s.Default); err == nil {
				return int(n)
			}
		}
	}
	panic(name + " is no setting of a size that has a default")
}

// fit makes room for the largest events, batches and lists that apps may have.
func (d *draft) fit() {
	outbox, body := 0, 0
	for _, a := range d.apps {
		d.fewer(a)
		c := d.config(a)
		outbox = max(outbox, pusher.LeastOutbox(c))
		body = max(body, c.MaxBatch*c.MaxEventBytes)
	}
	if outbox > bytesOf("OUTBOX_BYTES") {
		size := (min(outbox, mostOutbox) + 1<<20 - 1) >> 20 << 20
		d.usual("OUTBOX_BYTES", setting.SizeText(int64(size)), "the largest event or list of members must fit into what waits for one connection")
		if size > wideOutbox {
			d.note("Each connection may have %s waiting for it, for events and lists of members of the size that is allowed: smaller ones need less memory.", setting.SizeText(int64(size)))
		}
		if size > bytesOf("BACKLOG_BYTES") {
			d.usual("BACKLOG_BYTES", setting.SizeText(int64(size)), "it may not be less than OUTBOX_BYTES")
		}
	}
	if body > bytesOf("PUSHER_MAX_BODY_BYTES") {
		d.usual("PUSHER_MAX_BODY_BYTES", setting.SizeText(int64(min(body, mostBody))), "the largest batch must fit")
	}
}

// fewer has an app have no more members in a presence channel than fit into an outbox.
func (d *draft) fewer(a *appDraft) {
	c := d.config(a)
	if pusher.LeastOutbox(c) <= mostOutbox {
		return
	}
	fit := sort.Search(c.MaxMembers, func(n int) bool {
		c.MaxMembers = n + 1
		return pusher.LeastOutbox(c) > mostOutbox
	})
	a.fields["max_presence_members"] = max(fit, 1)
	d.note("App %s may have %d members in a presence channel: the list of more, of the size that is allowed, does not fit into what may wait for a connection.", shown(a.at), max(fit, 1))
	d.report.Look = true
}

// batch has all webhooks told of several events at once.
func (d *draft) batch(on bool) {
	for _, a := range d.apps {
		for _, h := range a.hooks {
			h.fields["batch"] = on
		}
	}
}

// tidy drops webhooks that would mean something else here, and says so.
func (d *draft) tidy() {
	for _, a := range d.apps {
		a.hooks = slices.DeleteFunc(a.hooks, func(h *hookDraft) bool {
			types, _ := h.fields["event_types"].([]string)
			why := ""
			switch {
			case h.fields["url"] == nil:
				why = "it has no URL: Poosh tells addresses alone"
			case len(types) == 0:
				why = "it has no event types that Poosh knows, and without any it would be told of all"
			}
			if why != "" {
				d.note("Webhook %s of app %s is left out: %s.", shown(h.at), shown(a.at), why)
				d.report.Look = true
			}
			return why != ""
		})
	}
}

// clientRate is how often clients of apps that do not say may send events.
func (d *draft) clientRate(text string) {
	for _, a := range d.apps {
		if _, found := a.fields["client_event_rate"]; !found {
			a.fields["client_event_rate"] = text
		}
	}
}

func (d *draft) settingNames() []string { return slices.Sorted(maps.Keys(d.set)) }

// least and most that Poosh takes of a time.
const (
	leastSpan = time.Second
	mostSpan  = time.Hour
)
