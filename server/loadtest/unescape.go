package loadtest

import "bytes"

// Unescape takes the backslashes before quotes out of b, in place: the data of an event of
// Pusher is JSON inside a JSON string, and payloads hold nothing else to escape.
func Unescape(b []byte) []byte {
	w := bytes.IndexByte(b, '\\')
	if w < 0 {
		return b
	}
	for r := w; r < len(b); {
		r++ // the backslash
		next := bytes.IndexByte(b[min(r, len(b)):], '\\')
		if next < 0 {
			next = max(len(b)-r, 0)
		}
		w += copy(b[w:], b[min(r, len(b)):min(r+next, len(b))])
		r += next
	}
	return b[:w]
}

// quoteless makes an unescaped message of Pusher's own one whose data is an object and no
// string: the quotes around it go.
func quoteless(b []byte) []byte {
	b = bytes.Replace(b, []byte(`"data":"{`), []byte(`"data":{`), 1)
	if i := bytes.LastIndex(b, []byte(`}"`)); i >= 0 {
		b = append(bytes.Clone(b[:i+1]), b[i+2:]...)
	}
	return b
}
