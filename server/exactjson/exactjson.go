// Package exactjson decodes JSON as JavaScript reads it: the names of members match
// to the letter, and of equal names the last one counts. encoding/json takes
// "USER_ID" for "user_id", so a text that one program checked would mean something
// else to the next.
package exactjson

import (
	"encoding/json"
	"reflect"
	"strings"
)

// Unmarshal is [json.Unmarshal] with exact names, at every depth. Structs must not
// embed others. It may be called from any goroutine.
func Unmarshal(data []byte, v any) error {
	p := reflect.ValueOf(v)
	if p.Kind() != reflect.Pointer || p.IsNil() {
		return json.Unmarshal(data, v) // which says what is wrong
	}
	return decode(data, p)
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// decode decodes into what p points to.
func decode(data []byte, p reflect.Value) error {
	if p.Type().Implements(unmarshaler) {
		return json.Unmarshal(data, p.Interface())
	}
	switch v := p.Elem(); {
	case v.Kind() == reflect.Struct:
		return decodeStruct(data, v)
	case v.Kind() == reflect.Slice && hasStructs(v.Type().Elem()):
		return decodeSlice(data, v)
	case v.Kind() == reflect.Map && hasStructs(v.Type().Elem()):
		return decodeMap(data, v)
	case v.Kind() == reflect.Pointer && hasStructs(v.Type().Elem()):
		return decodePointer(data, v)
	}
	return json.Unmarshal(data, p.Interface())
}

// hasStructs reports whether a value of a type may hold members with names.
func hasStructs(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(unmarshaler) {
		return false
	}
	switch t.Kind() {
	case reflect.Struct:
		return true
	case reflect.Slice, reflect.Map, reflect.Pointer:
		return hasStructs(t.Elem())
	}
	return false
}

func decodeStruct(data []byte, v reflect.Value) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" || !field.IsExported() {
			continue
		}
		if name == "" {
			name = field.Name
		}
		if text, ok := members[name]; ok {
			if err := decode(text, v.Field(i).Addr()); err != nil {
				return err
			}
		}
	}
	return nil
}

func decodeSlice(data []byte, v reflect.Value) error {
	var elements []json.RawMessage
	if err := json.Unmarshal(data, &elements); err != nil || elements == nil {
		v.SetZero()
		return err
	}
	v.Set(reflect.MakeSlice(v.Type(), len(elements), len(elements)))
	for i, text := range elements {
		if err := decode(text, v.Index(i).Addr()); err != nil {
			return err
		}
	}
	return nil
}

func decodeMap(data []byte, v reflect.Value) error {
	texts := reflect.New(reflect.MapOf(v.Type().Key(), reflect.TypeFor[json.RawMessage]()))
	if err := json.Unmarshal(data, texts.Interface()); err != nil || texts.Elem().IsNil() {
		v.SetZero()
		return err
	}
	v.Set(reflect.MakeMap(v.Type()))
	for each := texts.Elem().MapRange(); each.Next(); {
		element := reflect.New(v.Type().Elem())
		if err := decode(each.Value().Bytes(), element); err != nil {
			return err
		}
		v.SetMapIndex(each.Key(), element.Elem())
	}
	return nil
}

func decodePointer(data []byte, v reflect.Value) error {
	if string(data) == "null" {
		v.SetZero()
		return nil
	}
	v.Set(reflect.New(v.Type().Elem()))
	return decode(data, v)
}
