package migration

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"poosh/server/pusher/webhook"
)

// toSetting makes a setting of a value.
func toSetting(name string, c converter) taker {
	return func(d *draft, e *entry) taken {
		got := c(e.value)
		if got.value == nil {
			return taken{says: got.says, look: got.look}
		}
		d.set[name] = settingText(got.value)
		return taken{as: name + "=" + shown(d.set[name]), says: got.says, look: got.look}
	}
}

// toSecret is toSetting for what a report must not show.
func toSecret(name string, c converter) taker {
	return func(d *draft, e *entry) taken {
		t := toSetting(name, c)(d, e)
		if t.as != "" {
			t.as = name
		}
		return t
	}
}

// settingText is a value as .env has it.
func settingText(v any) string {
	switch v := v.(type) {
	case bool:
		if v {
			return "on"
		}
		return "off"
	case int:
		return strconv.Itoa(v)
	case []string:
		return strings.Join(v, ",")
	}
	return fmt.Sprint(v)
}

// toField makes a key of an app of a value. The report shows numbers and switches.
func toField(name string, c converter) taker {
	return func(d *draft, e *entry) taken {
		a, got := d.appOf(e.path), c(e.value)
		if got.value == nil {
			return taken{says: got.says, look: got.look}
		}
		a.fields[name] = got.value
		return taken{as: name + " of the app" + fieldText(got.value), says: got.says, look: got.look}
	}
}

// fieldText is what a report shows of a value, unless it is a text.
func fieldText(v any) string {
	switch v := v.(type) {
	case bool, int:
		return fmt.Sprintf(": %v", v)
	}
	return ""
}

// toFields does the same for all apps, which a server has one key for.
func toFields(name string, c converter) taker {
	return func(d *draft, e *entry) taken {
		got := c(e.value)
		if got.value == nil {
			return taken{says: got.says, look: got.look}
		}
		d.last = append(d.last, func() {
			for _, a := range d.apps {
				a.fields[name] = got.value
			}
		})
		return taken{as: name + " of each app" + fieldText(got.value), says: got.says, look: got.look}
	}
}

// toHook makes a key of a webhook of a value.
func toHook(name string, c converter) taker {
	return func(d *draft, e *entry) taken {
		h, got := d.hookOf(e.path), c(e.value)
		if got.value == nil {
			return taken{says: got.says, look: got.look}
		}
		h.fields[name] = got.value
		return taken{as: name + " of the webhook", says: got.says, look: got.look}
	}
}

// address is the URL of a webhook.
func address(v any) converted {
	got := words(v)
	if text, ok := got.value.(string); ok {
		if u, err := url.Parse(text); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return wrong(v, "an http or https address")
		}
	}
	return got
}

// eventName is what a report shows of a type that Poosh has not.
var eventName = regexp.MustCompile(`^[a-z_]{1,40}$`)

// eventTypes are what a webhook is told of.
func eventTypes(v any) converted {
	list, ok := textsOf(v)
	if !ok {
		return wrong(v, "a list of types of events")
	}
	var kept, left []string
	for _, name := range list {
		if slices.Contains(webhook.EventTypes, name) {
			kept = append(kept, name)
		} else {
			if !eventName.MatchString(name) {
				name = "what is no name of a type"
			}
			left = append(left, name)
		}
	}
	got := converted{value: kept}
	if len(left) > 0 {
		got.says, got.look = "Poosh has no webhooks for "+strings.Join(left, ", "), true
	}
	return got
}

// toHeader makes a header of a webhook of a value.
func toHeader(d *draft, e *entry) taken {
	name, got := e.path[len(e.path)-1], words(e.value)
	text, ok := got.value.(string)
	switch {
	case !ok:
		return taken{says: got.says, look: got.look}
	case strings.HasPrefix(strings.ToLower(name), "x-pusher-"), strings.EqualFold(name, "content-type"):
		return taken{says: "is left out: the header belongs to the protocol"}
	}
	h := d.hookOf(e.path)
	headers, _ := h.fields["headers"].(map[string]string)
	if headers == nil {
		headers = make(map[string]string)
		h.fields["headers"] = headers
	}
	headers[name] = text
	return taken{as: "headers of the webhook"}
}

// later is for keys that mean something only together with others: a source's finish
// reads them from the draft and sets these settings, if any.
func later(settings ...string) taker {
	return func(*draft, *entry) taken { return taken{later: append([]string{}, settings...)} }
}

// inApp is later for what becomes a key of the app.
func inApp(name string) taker {
	return func(*draft, *entry) taken { return taken{as: name + " of the app"} }
}

// inHooks is later for what becomes a key of all webhooks.
func inHooks(name string) taker {
	return func(*draft, *entry) taken { return taken{as: name + " of each webhook"} }
}

// nested takes a list that stands in a text, as JSON.
func nested(d *draft, e *entry) taken {
	text, ok := e.value.(string)
	if isEmpty(e.value) {
		return taken{}
	}
	var tree any
	if !ok || json.Unmarshal([]byte(text), &tree) != nil {
		got := wrong(e.value, "a list")
		return taken{says: got.says, look: got.look}
	}
	if isEmpty(tree) {
		return taken{}
	}
	list := flatten(e.path, tree)
	for i := range list {
		list[i].name = e.name + strings.TrimPrefix(list[i].name, strings.Join(e.path, "."))
	}
	if len(list) == 1 && len(list[0].path) == len(e.path) {
		got := wrong(nil, "a list of objects")
		return taken{says: got.says, look: got.look}
	}
	if len(d.values)+len(list) > maxKeys {
		return taken{says: "has too many keys", look: true}
	}
	d.take(list)
	return taken{as: "what follows"}
}
