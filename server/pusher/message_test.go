package pusher

import (
	"strings"
	"testing"
)

// TestWhoIsIt reads channel_data and user_data. Both are signed as texts by the app,
// so the server must see in them what the app's own JSON parser does: names match to
// the letter, and of equal ones the last counts.
func TestWhoIsIt(t *testing.T) {
	long := strings.Repeat("x", 129)
	tests := []struct {
		data     string // with ID for the name of the id
		id, info string // an empty id: refused
	}{
		{`{"ID":"1"}`, "1", "{}"},
		{`{"ID":1}`, "1", "{}"},
		{`{"ID":9007199254740993}`, "9007199254740993", "{}"},
		{`{"ID":-1.50}`, "-1.50", "{}"},
		{`{"ID":"1","user_info":{"a": [1.50, "b"]}}`, "1", `{"a":[1.50,"b"]}`},
		{`{"ID":"1","user_info":null}`, "1", "{}"},
		{`{"ID":"safe","XX":"admin"}`, "safe", "{}"},
		{`{"XX":"admin","ID":"safe","User_Info":{"name":"admin"},"user_info":{"name":"safe"},"USER_INFO":{}}`, "safe", `{"name":"safe"}`},
		{`{"XX":"admin"}`, "", ""},
		{`{"ID":"1","ID":"2"}`, "2", "{}"},
		{`{"ID":"\u0061"}`, "a", "{}"},
		{`{"ID":"` + long + `"}`, "", ""},
		{`{"ID":""}`, "", ""},
		{`{"ID":null}`, "", ""},
		{`{"ID":true}`, "", ""},
		{`{"ID":["1"]}`, "", ""},
		{`{"ID":{}}`, "", ""},
		{`{}`, "", ""},
		{`[]`, "", ""},
		{`"1"`, "", ""},
		{`{"ID":"1"} x`, "", ""},
		{``, "", ""},
	}
	for _, tt := range tests {
		member, err := parseMember(strings.NewReplacer("ID", "user_id", "XX", "USER_ID").Replace(tt.data))
		if (err == nil) != (tt.id != "") || err == nil && (member.id != tt.id || string(member.info) != tt.info) {
			t.Errorf("channel_data %s: %q %s, %v", tt.data, member.id, member.info, err)
		}
		user, err := parseUser(strings.NewReplacer("ID", "id", "XX", "Id").Replace(tt.data))
		if (err == nil) != (tt.id != "") || err == nil && (user.id != tt.id || string(user.info) != tt.info) {
			t.Errorf("user_data %s: %q %s, %v", tt.data, user.id, user.info, err)
		}
	}
	for list, want := range map[string]string{
		`["a",2]`: "a 2", `null`: "", `[]`: "", `["a"],"Watchlist":["b"]`: "a",
		`"a"`: "refused", `[null]`: "refused", `[[1]]`: "refused", `{}`: "refused",
	} {
		user, err := parseUser(`{"id":"1","watchlist":` + list + `}`)
		if got := strings.Join(user.watchlist, " "); err == nil && got != want || (err != nil) != (want == "refused") {
			t.Errorf("watchlist %s: %q, %v", list, got, err)
		}
	}
}

// TestNumbersAndOtherLetters goes through the door with what an app may have signed.
func TestNumbersAndOtherLetters(t *testing.T) {
	s := newSite(t, Config{})
	p := s.dial()
	p.signIn(`{"id":1}`)
	p.expect(`{"event":"pusher:signin_success","data":{"user_data":"{\"id\":1}"}}`)
	p.join("#server-to-user-1")
	s.trigger("#server-to-user-1", "e", "x")
	p.expect(`{"event":"e","channel":"#server-to-user-1","data":"x"}`)
	p.subscribe("presence-c", `{"user_id":"safe","USER_ID":"admin"}`)
	p.expect(`{"event":"pusher_internal:subscription_succeeded","channel":"presence-c","data":"{\"presence\":{\"ids\":[\"safe\"],\"hash\":{\"safe\":{}},\"count\":1}}"}`)
}
