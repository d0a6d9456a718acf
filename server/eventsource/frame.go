package eventsource

import (
	"bytes"
	"strconv"
	"strings"
	"time"
)

// What stands in front of a field's value.
const (
	fieldID    = "id: "
	fieldEvent = "event: "
	fieldData  = "data: "
)

// Event returns an event as it is written: its id, unless that is empty, its name and its
// data, of which each line becomes one of the stream. ok is false for a name or an id that
// has a line break, or an id with a NUL in it: there is no way to write one.
func Event(id, name string, data []byte) (frame []byte, ok bool) {
	if strings.ContainsAny(name, "\r\n") || strings.ContainsAny(id, "\r\n\x00") {
		return nil, false
	}
	frame = make([]byte, 0, len(fieldID)+len(id)+len(fieldEvent)+len(name)+len(fieldData)+len(data)+4)
	if id != "" {
		frame = append(append(append(frame, fieldID...), id...), '\n')
	}
	if name != "" { // an EventSource calls it "message"
		frame = append(append(append(frame, fieldEvent...), name...), '\n')
	}
	for {
		end := bytes.IndexAny(data, "\r\n")
		if end < 0 {
			break
		}
		frame = append(append(append(frame, fieldData...), data[:end]...), '\n')
		if bytes.HasPrefix(data[end:], []byte("\r\n")) {
			end++
		}
		data = data[end+1:]
	}
	return append(append(append(frame, fieldData...), data...), "\n\n"...), true
}

// ID returns the part of an event's frame that holds its id of so many bytes, for who
// writes it there later.
func ID(frame []byte, size int) []byte { return frame[len(fieldID) : len(fieldID)+size] }

// Retry returns the line by which a client learns after how long it is to come back.
func Retry(after time.Duration) []byte {
	return append(strconv.AppendInt([]byte("retry: "), after.Milliseconds(), 10), "\n\n"...)
}

// Forget returns what has a client forget the id of the last event that it got.
func Forget() []byte { return []byte("id\n\n") }

// Comment returns a line that clients skip. It may not have a line break in it.
func Comment(text string) []byte { return []byte(": " + text + "\n\n") }
