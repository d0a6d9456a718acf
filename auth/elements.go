package auth

import "iter"

// Elements goes over the elements of an array one by one, so that whoever bounds
// their number stops before the rest is looked at, and nothing is allocated for
// them. Any other value has none. What it yields shares the array's text.
func (v Value) Elements() iter.Seq[Value] {
	return func(yield func(Value) bool) {
		if v.Kind() != Array {
			return
		}
		// Parse and Pick have found the text well-formed.
		for i := skipBlanks(v.text, 1); i < len(v.text) && v.text[i] != ']'; {
			end, err := scanValue(v.text, i)
			if err != nil || !yield(Value{v.text[i:end]}) {
				return
			}
			if i = skipBlanks(v.text, end); v.text[i] == ',' {
				i = skipBlanks(v.text, i+1)
			}
		}
	}
}
