package authorize

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"poosh/server/exactjson"
)

// judge says what an answer comes to. body is nil for one that is too large.
func judge(status int, body []byte, in *inquiry) (Reason, *Member) {
	switch {
	case status/100 == 3:
		return redirected, nil
	case status/100 == 4:
		return denied, nil
	case status/100 != 2:
		return failed, nil
	case body == nil:
		return large, nil
	}
	// PHP writes a mark in front where a file of the application begins with one.
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")))
	switch {
	case !utf8.Valid(body) || !json.Valid(body):
		return noJSON, nil
	case saysNo(body):
		return denied, nil
	case in.Presence:
		return readMember(body)
	case body[0] == '{' || string(body) == "true":
		return allowed, nil
	}
	return noAnswer, nil
}

// saysNo reports whether a body is what PHP, or JavaScript, has for no.
func saysNo(body []byte) bool {
	switch string(body) {
	case "false", "null", `""`, "0":
		return true
	}
	return false
}

// readMember reads who a page is in a presence channel: {"channel_data":{"user_id":..,
// "user_info":..}}, where channel_data may be a text of that.
func readMember(body []byte) (Reason, *Member) {
	var answer struct {
		Data json.RawMessage `json:"channel_data"`
	}
	if exactjson.Unmarshal(body, &answer) != nil || len(answer.Data) == 0 {
		return noMember, nil
	}
	data := []byte(answer.Data)
	if data[0] == '"' {
		var text string
		if json.Unmarshal(data, &text) != nil {
			return noMember, nil
		}
		data = []byte(text)
	}
	var said struct {
		ID   json.RawMessage `json:"user_id"`
		Info json.RawMessage `json:"user_info"`
	}
	if exactjson.Unmarshal(data, &said) != nil || !isID(said.ID) {
		return noMember, nil
	}
	return allowed, &Member{UserID: said.ID, Info: compact(said.Info)}
}

// isID reports whether a value is a text that is not empty, or a number.
func isID(raw json.RawMessage) bool {
	if len(raw) == 0 || string(raw) == `""` {
		return false
	}
	return raw[0] == '"' || raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9'
}

// compact takes the white space out of what is sent to many; nil stays nil.
func compact(raw json.RawMessage) json.RawMessage {
	if raw == nil {
		return nil
	}
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}
