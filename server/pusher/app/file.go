package app

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// Parse reads a JSON file of apps: {"apps": [{...}, ...]}. What an app does
// not name it has from base; base's id, key, secret and webhooks are not used. A
// name that nothing has is a mistake, so that a misspelt limit is not no limit.
func Parse(file []byte, base Config) ([]Config, error) {
	var top struct {
		Apps []json.RawMessage `json:"apps"`
	}
	if err := decodeStrict(file, &top); err != nil {
		return nil, err
	}
	if len(top.Apps) == 0 {
		return nil, errors.New(`want {"apps": [...]} with at least one app`)
	}
	base.ID, base.Key, base.Secret, base.PreviousSecret, base.Webhooks = "", "", "", "", nil
	apps := make([]Config, 0, len(top.Apps))
	for i, raw := range top.Apps {
		a := base
		if err := decodeStrict(raw, &a); err != nil {
			return nil, fmt.Errorf("app %d: %w", i+1, err)
		}
		if err := a.Validate(); err != nil {
			return nil, err
		}
		apps = append(apps, a)
	}
	return apps, nil
}

func decodeStrict(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if dec.More() {
		return errors.New("more text after the JSON value")
	}
	return exactNames(data, reflect.TypeOf(v).Elem())
}

var textual = reflect.TypeFor[encoding.TextUnmarshaler]()

// exactNames finds a member whose name is a field's but for its case, which
// encoding/json takes: two of them would be one setting.
func exactNames(data []byte, t reflect.Type) error {
	switch {
	case reflect.PointerTo(t).Implements(textual):
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		var list []json.RawMessage
		if err := json.Unmarshal(data, &list); err != nil {
			return err
		}
		for _, raw := range list {
			if err := exactNames(raw, t.Elem()); err != nil {
				return err
			}
		}
	case t.Kind() == reflect.Struct:
		var members map[string]json.RawMessage
		if err := json.Unmarshal(data, &members); err != nil {
			return err
		}
		for i := range t.NumField() {
			field := t.Field(i)
			name := field.Tag.Get("json")
			if raw, ok := members[name]; ok {
				if err := exactNames(raw, field.Type); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
			delete(members, name)
		}
		for name := range members {
			return fmt.Errorf("unknown field %q: names match to the letter", name)
		}
	}
	return nil
}
