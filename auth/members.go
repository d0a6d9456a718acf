package auth

// Members reads the JSON object at the beginning of a text, as strictly as [Parse],
// and hands each of its members to each: n is the index of its name among names, or
// -1 for any other, and value its text without blanks around it. Case matters, a name
// written with escapes is the same name, and equal names come as often as they stand
// there. What follows the object is not looked at.
//
// Nothing is decoded, copied or allocated, so that a stranger's text can be judged
// before it costs memory. For the same reason src need not be valid UTF-8: what is
// not may stand in strings, and stands in values as it is.
//
// It stops at the first error: each's, a [*SyntaxError], [ErrTooDeep], or
// [ErrNotObject] for any other value.
func Members(src []byte, names []string, each func(n int, value []byte) error) error {
	i := skipBlanks(src, 0)
	if i == len(src) {
		return &SyntaxError{i}
	}
	if src[i] != '{' {
		return ErrNotObject
	}
	i = skipBlanks(src, i+1)
	if i < len(src) && src[i] == '}' {
		return nil
	}
	for {
		key := i
		colon, err := scanKey(src, i)
		if err != nil {
			return err
		}
		start := skipBlanks(src, colon)
		end, err := scanValue(src, start)
		if err != nil {
			return err
		}
		if err := each(indexOfKey(src[key:colon], names), src[start:end]); err != nil {
			return err
		}
		i = skipBlanks(src, end)
		switch {
		case i < len(src) && src[i] == ',':
			i = skipBlanks(src, i+1)
		case i < len(src) && src[i] == '}':
			return nil
		default:
			return &SyntaxError{i}
		}
	}
}

// Elements hands the text of each element of the JSON array at the beginning of src
// to each; everything else is as with [Members]. It fails with [ErrNotArray] for any
// other value.
func Elements(src []byte, each func(element []byte) error) error {
	i := skipBlanks(src, 0)
	if i == len(src) {
		return &SyntaxError{i}
	}
	if src[i] != '[' {
		return ErrNotArray
	}
	i = skipBlanks(src, i+1)
	if i < len(src) && src[i] == ']' {
		return nil
	}
	for {
		end, err := scanValue(src, i)
		if err != nil {
			return err
		}
		if err := each(src[i:end]); err != nil {
			return err
		}
		i = skipBlanks(src, end)
		switch {
		case i < len(src) && src[i] == ',':
			i = skipBlanks(src, i+1)
		case i < len(src) && src[i] == ']':
			return nil
		default:
			return &SyntaxError{i}
		}
	}
}
