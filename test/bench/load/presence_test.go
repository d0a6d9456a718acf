package load

import (
	"encoding/json"
	"testing"

	"poosh/auth"
)

func TestPresenceJoinIsSigned(t *testing.T) {
	var m struct {
		Event string
		Data  struct {
			Channel, Auth string
			ChannelData   string `json:"channel_data"`
		}
	}
	if err := json.Unmarshal([]byte(presenceJoin("12.34", "a secret!!", "presence-x", 6)), &m); err != nil {
		t.Fatal(err)
	}
	if m.Data.ChannelData != `{"user_id":"7"}` || m.Data.Channel != "presence-x" {
		t.Errorf("%+v", m)
	}
	if err := auth.PusherChannel(PusherKey, "a secret!!", "12.34", "presence-x", &m.Data.ChannelData, m.Data.Auth); err != nil {
		t.Errorf("the server's check of %q: %v", m.Data.Auth, err)
	}
}

func TestRosterFollowsMessages(t *testing.T) {
	const head = `{"event":"pusher_internal:`
	var r roster
	for _, step := range []struct {
		message string
		count   int32
		sum     int64
	}{
		{head + `subscription_succeeded","channel":"presence-bench","data":"{"presence":{"count":2,"ids":["1","20"],"hash":{"1":null,"20":null}}}"}`, 2, 21},
		{head + `member_added","channel":"presence-bench","data":"{"user_id":"7"}"}`, 3, 28},
		{head + `member_removed","channel":"presence-bench","data":"{"user_id":"20"}"}`, 2, 8},
	} {
		known, err := r.take([]byte(step.message))
		if !known || err != nil || r.count != step.count || r.sum != step.sum {
			t.Errorf("after %s: %+v, known %v, %v", step.message, r, known, err)
		}
	}
	if known, err := r.take([]byte(`{"event":"pusher:ping","data":{}}`)); known || err != nil || r.told != 3 {
		t.Errorf("a ping: known %v, %v, told %d", known, err, r.told)
	}
	for _, bad := range []string{`member_added","data":"{}"}`, `member_removed","data":"{"user_id":"x"}"}`, `subscription_succeeded","data":"{}"}`, `subscription_succeeded","data":"{"ids":["x"]}`} {
		if _, err := r.take([]byte(head + bad)); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
