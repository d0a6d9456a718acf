package echo

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"poosh/server/handover"
)

// FuzzBroadcast has what is taken of a message be an event that its text says, and nothing else.
func FuzzBroadcast(f *testing.F) {
	for _, text := range []string{
		`{"event":"App\\Events\\OrderShipped","data":{"order":{"id":7,"name":"Caf\u00e9 \/ \u03a9"},"socket":null},"socket":null}`,
		`{"event":"order.named","data":{"n":1,"socket":"IC6M0B7wz6rgF_iyAAAA"},"socket":"IC6M0B7wz6rgF_iyAAAA"}`,
		`{"event":"e"}`, `{"event":"e","data":"text"}`, `{"event":"e","data":{ "sock\u0065t" : [{"socket":1}] , "a":"},{\"" }}`, `{"event":"disconnect"}`,
		`{"event":{"channel":"presence-room.1:members","members":[]}}`, `null`, `[]`, `5`, ``, `{"event":5}`, `{"Event":"e"}`, "{\"event\":\"\xff\"}",
	} {
		f.Add("laravel_database_orders", text)
	}
	f.Add("", `{"event":"e"}`)
	f.Add("laravel_database_laravel_database_x", `{"event":"e"}`)
	r := newReader(&Config{Prefixes: []string{"laravel_", "laravel_database_"}, MaxChannelBytes: 100})
	f.Fuzz(func(t *testing.T, channel, payload string) {
		p, why := r.read(channel, []byte(payload))
		if (p == nil) != (why != taken) {
			t.Fatal(p, why)
		}
		if p == nil {
			return
		}
		if p.Room == "" || p.Event == "" || !json.Valid(p.Data) || !strings.HasPrefix(channel, "laravel_") || !strings.HasSuffix(channel, p.Room) {
			t.Fatalf("%+v", p)
		}
		var said struct{ Data map[string]any }
		if json.Unmarshal([]byte(payload), &said) == nil && said.Data != nil {
			var data map[string]any
			if err := json.Unmarshal(p.Data, &data); err != nil {
				t.Fatal(err)
			}
			if _, there := data["socket"]; there {
				t.Fatalf("%s has a socket", p.Data)
			}
		}
		for _, frame := range [][]byte{plain.Encode(p), numbered.Encode(p)} {
			if _, text, _ := bytes.Cut(frame, []byte("42")); !json.Valid(text) {
				t.Fatalf("%q", frame)
			}
		}
	})
}

// FuzzArguments has what clients say be understood or not, and never be more than it may.
func FuzzArguments(f *testing.F) {
	for _, text := range []string{`null`, `{"channel":"orders","auth":{"headers":{"Authorization":"Bearer tok"}}}`, `{"channel":"private-x","auth":null}`, `{"channel":"private-x","auth":{"headers":[1]}}`,
		`{"channel":5}`, `"{\"channel\":\"presence-x\",\"event\":\"client-x\",\"data\":1}"`, `{"channel":"private-x","event":"client-x"}`, `[]`, `""`, `"null"`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if !json.Valid([]byte(text)) {
			return // which package socketio refuses
		}
		args := [][]byte{bytes.TrimSpace([]byte(text))}
		if w, why := readWish(args, 50); why == understood && (w.channel == "" || len(w.channel) > 50) {
			t.Fatalf("%+v", w)
		}
		w, why := readWhisper(args, 50)
		if why == understood && (w.channel == "" || len(w.channel) > 50 || !kindOf(w.channel).private || !strings.HasPrefix(w.event, clientPrefix) || !json.Valid(w.data)) {
			t.Fatalf("%+v", w)
		}
	})
}

// FuzzRestore has a file that is not what was saved be refused, and never more than that; what is not
// refused is saved again as it was read.
func FuzzRestore(f *testing.F) {
	const pid = "0123456789abcdefghijklmnopqrstuvwxyz"
	var b bytes.Buffer
	w := handover.NewWriter(f.Context(), &b)
	w.Uint(1) // clients
	w.Text(pid)
	w.Text("sid")
	w.Uint(5) // where it began
	w.Uint(0)
	w.Uint(uint64(farAhead.UnixNano()))
	w.Uint(2) // channels
	w.Text("a")
	w.Uint(1)
	w.Text("presence-b")
	w.Uint(2)
	(&member{id: "1", entry: []byte(`{"user_id":1,"socketId":"s"}`)}).save(w)
	if err := w.Flush(); err != nil {
		f.Fatal(err)
	}
	a := newStates(nil, 1<<50, 1<<20)
	if err := a.Restore(handover.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))); err != nil {
		f.Fatal(err)
	}
	if st, _ := a.Take(pid); st == nil || st.SID != "sid" || len(st.Rooms) != 2 || st.Joined["presence-b"] != 2 || string(st.Members["presence-b"].bare) != `{"user_id":1}` {
		f.Fatalf("%+v", st)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, file []byte) {
		a, b := newStates(nil, 1<<50, 1<<20), newStates(nil, 1<<50, 1<<20)
		_ = a.Restore(handover.NewReader(bytes.NewReader(file), int64(len(file))))
		var saved bytes.Buffer
		w := handover.NewWriter(t.Context(), &saved)
		a.Save(w)
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if err := b.Restore(handover.NewReader(&saved, int64(saved.Len()))); err != nil {
			t.Fatal("what was read cannot be saved:", err)
		}
	})
}
