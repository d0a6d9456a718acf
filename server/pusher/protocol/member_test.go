package protocol

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
		member, err := ParseMember(strings.NewReplacer("ID", "user_id", "XX", "USER_ID").Replace(tt.data))
		if (err == nil) != (tt.id != "") || err == nil && (member.ID != tt.id || string(member.Info) != tt.info) {
			t.Errorf("channel_data %s: %q %s, %v", tt.data, member.ID, member.Info, err)
		}
		user, err := ParseUser(strings.NewReplacer("ID", "id", "XX", "Id").Replace(tt.data))
		if (err == nil) != (tt.id != "") || err == nil && (user.ID != tt.id || string(user.Info) != tt.info) {
			t.Errorf("user_data %s: %q %s, %v", tt.data, user.ID, user.Info, err)
		}
	}
	for list, want := range map[string]string{
		`["a",2]`: "a 2", `null`: "", `[]`: "", `["a"],"Watchlist":["b"]`: "a",
		`"a"`: "refused", `[null]`: "refused", `[[1]]`: "refused", `{}`: "refused",
	} {
		user, err := ParseUser(`{"id":"1","watchlist":` + list + `}`)
		if got := strings.Join(user.Watchlist, " "); err == nil && got != want || (err != nil) != (want == "refused") {
			t.Errorf("watchlist %s: %q, %v", list, got, err)
		}
	}
}
