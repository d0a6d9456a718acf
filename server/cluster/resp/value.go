package resp

import (
	"errors"
	"fmt"
	"strconv"
)

// ErrNull is what a value says of itself that is a Null: the key, or whatever was asked for, is not there.
var ErrNull = errors.New("resp: null")

// A ServerError is what the server answers instead of what was asked for.
type ServerError struct {
	Text string // its code, such as NOSCRIPT or MOVED, and why
}

func (e *ServerError) Error() string { return e.Text }

// Err returns a *[ServerError] for an error of the server, [ErrNull] for a Null, and nil for all else. The methods
// below return it first.
func (v Value) Err() error {
	switch v.Kind {
	case Error, BulkError:
		return &ServerError{v.Text}
	case Null:
		return ErrNull
	}
	return nil
}

// ToString returns a text: that of a Simple, Bulk or Verbatim, and a Double or BigNumber as it stands on the wire. Of
// an Int it is an error, so that a number is not taken for a name.
func (v Value) ToString() (string, error) {
	switch v.Kind {
	case Simple, Bulk, Verbatim, Double, BigNumber:
		return v.Text, nil
	}
	return "", v.not("a text")
}

// ToArray returns the elements of an Array or Set. They are shared with v.
func (v Value) ToArray() ([]Value, error) {
	switch v.Kind {
	case Array, Set:
		return v.List, nil
	}
	return nil, v.not("an array or set")
}

// AsStrSlice returns the elements of an Array or Set as texts: a Null is empty, a number as it stands on the wire. An
// element that is an error, or an aggregate, is an error of the whole.
func (v Value) AsStrSlice() ([]string, error) {
	list, err := v.ToArray()
	if err != nil {
		return nil, err
	}
	texts := make([]string, len(list))
	for i := range list {
		if texts[i], err = list[i].element(); err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
	}
	return texts, nil
}

// AsIntSlice returns the elements of an Array or Set, each as [Value.AsInt64] does.
func (v Value) AsIntSlice() ([]int64, error) {
	list, err := v.ToArray()
	if err != nil {
		return nil, err
	}
	numbers := make([]int64, len(list))
	for i := range list {
		if numbers[i], err = list[i].AsInt64(); err != nil {
			return nil, fmt.Errorf("element %d: %w", i, err)
		}
	}
	return numbers, nil
}

// AsInt64 returns an Int, or a text that is one in decimal.
func (v Value) AsInt64() (int64, error) {
	if v.Kind == Int {
		return v.Int, nil
	}
	text, err := v.ToString()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("resp: %.40q is not an integer", text)
	}
	return n, nil
}

// AsStrMap returns a Map, or an Array of keys and values in turn, as texts, which [Value.AsStrSlice] says more of. Of
// a key that comes twice the last value is there.
func (v Value) AsStrMap() (map[string]string, error) {
	if v.Kind != Map && (v.Kind != Array || len(v.List)%2 != 0) {
		return nil, v.not("a map, or an array of even length")
	}
	texts := make(map[string]string, len(v.List)/2)
	for i := 0; i+1 < len(v.List); i += 2 {
		key, err := v.List[i].element()
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i/2, err)
		}
		if texts[key], err = v.List[i+1].element(); err != nil {
			return nil, fmt.Errorf("value of %.40q: %w", key, err)
		}
	}
	return texts, nil
}

// element is the text of what stands in a list.
func (v Value) element() (string, error) {
	switch v.Kind {
	case Null:
		return "", nil
	case Int, Bool:
		return v.Text, nil
	}
	return v.ToString()
}

// not is the error of a value that is not what is wanted.
func (v Value) not(wanted string) error {
	if err := v.Err(); err != nil {
		return err
	}
	if v.Kind.aggregate() {
		return fmt.Errorf("resp: want %s, and not %s of %d", wanted, v.Kind, len(v.List))
	}
	return fmt.Errorf("resp: want %s, and not %s %.40q", wanted, v.Kind, v.Text)
}

// String returns what a kind is called, for errors.
func (k Kind) String() string {
	if name, ok := names[k]; ok {
		return name
	}
	return fmt.Sprintf("kind %q", byte(k))
}

var names = map[Kind]string{Simple: "simple", Error: "error", Int: "int", Bulk: "bulk", Array: "array", Null: "null", Double: "double", Bool: "bool",
	BulkError: "bulk error", Verbatim: "verbatim", Map: "map", Set: "set", Push: "push", BigNumber: "big number"}

// aggregate says whether values of a kind have others in them.
func (k Kind) aggregate() bool { return k == Array || k == Map || k == Set || k == Push }
