package commandline

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"poosh/auth"
	"poosh/server/pushsocket/store"
	"poosh/server/pushsocket/store/postgrestest"
)

func openStore(t *testing.T, where string) store.Store {
	t.Helper()
	s, err := store.Open(where, store.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// A file is copied whole, once, and what was in it goes on where it stood: ids of messages,
// keys, who knows whom, and devices that were removed.
func TestImportStore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "x.db")
	server := postgrestest.Start(t, "fsync=off")
	to := server.Schema(t)
	t.Setenv("PUSH_SOCKET_DB", "")
	ctx := context.Background()

	from := openStore(t, file)
	var devices []store.Device
	address := func(i int) auth.Address { return auth.Address{Key: fmt.Sprint("k", i), Device: "1"} }
	for i := range 20 {
		d, err := from.Register(ctx, address(i), store.Keys{LastResort: []byte(`{"id":"last"}`), Prekeys: [][]byte{[]byte(`{"id":0}`), []byte(`{"id":1}`)}})
		if err != nil {
			t.Fatal(err)
		}
		devices = append(devices, d)
	}
	for i, d := range devices[:10] {
		m := store.Outgoing{Body: []byte(`"` + strings.Repeat("x", 100*i) + `"`)}
		for to := range devices {
			m.Copies = append(m.Copies, store.Copy{To: address(to), Header: []byte(`"h"`)})
		}
		if _, _, err := from.Queue(ctx, d.ID, []store.Outgoing{m}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := from.Remove(ctx, devices[19].ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := from.TakeKeys(ctx, "k3", devices[0].ID); err != nil {
		t.Fatal(err)
	}
	waiting := func(s store.Store, d store.Device) (list []store.Message) {
		t.Helper()
		list, err := s.Pending(ctx, d.ID, 0, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	before := waiting(from, devices[3])
	was, err := from.Usage(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := from.Close(ctx); err != nil {
		t.Fatal(err)
	}

	for _, test := range []struct {
		args         []string
		env          string
		code         int
		stdout, errs string
	}{
		{[]string{}, "", 2, "", "want FILE"},
		{[]string{file}, "", 2, "", "PUSH_SOCKET_DB is no address of a PostgreSQL database"},
		{[]string{"--to", "other.db", file}, "", 2, "", "--to is no address"},
		{[]string{"--to", "postgres://u:hush-hush/x@h/d", file}, "", 2, "", "--to is no address"},
		{[]string{file + ".none"}, to, 1, "", "no such file"},
		{[]string{"import_test.go"}, to, 1, "", "not a database"},
		{[]string{file}, to, 0, "20 identities, 20 devices, 37 prekeys, 190 messages, 190 contacts", ""},
		{[]string{file}, to, 1, "", "in use: name an empty one"},
		{[]string{"--json", "--to", server.Schema(t), file}, "", 0, `"messages":190`, ""},
	} {
		t.Setenv("PUSH_SOCKET_DB", test.env)
		code, out, errs := run(append([]string{"import", "push-socket"}, test.args...)...)
		if code != test.code || !strings.Contains(strings.ReplaceAll(out, ": ", ":"), strings.ReplaceAll(test.stdout, ": ", ":")) || !strings.Contains(errs, test.errs) || strings.Contains(out+errs, "hush") {
			t.Errorf("%v: %d\n%s%s", test.args, code, out, errs)
		}
	}

	s := openStore(t, to)
	defer func() { _ = s.Close(ctx) }()
	is, err := s.Usage(ctx)
	was.InUse, was.OnDisk, is.InUse, is.OnDisk = 0, 0, 0, 0
	if err != nil || was != is {
		t.Errorf("%+v, and it was %+v; %v", is, was, err)
	}
	after := waiting(s, devices[3])
	if len(after) != len(before) || len(after) != 10 {
		t.Fatalf("%d messages wait, and it were %d", len(after), len(before))
	}
	ids := make([]string, len(after))
	for i := range after {
		if ids[i] = after[i].ID; ids[i] != before[i].ID || string(after[i].Body) != string(before[i].Body) {
			t.Errorf("message %d is %s, and was %s", i, ids[i], before[i].ID)
		}
	}
	if n, err := s.Confirm(ctx, devices[3].ID, ids); err != nil || n != 10 {
		t.Error(n, err)
	}
	if keys, _, err := s.TakeKeys(ctx, "k3", devices[0].ID); err != nil || string(keys["1"]) != `{"id":1}` {
		t.Errorf("%s, %v", keys, err)
	}
	if _, err := s.Find(ctx, address(19)); err != store.ErrRevoked {
		t.Error(err)
	}
	if d, err := s.Register(ctx, address(20), store.Keys{}); err != nil || d.ID <= devices[19].ID {
		t.Errorf("%+v, %v: an id is used again", d, err)
	}
	if _, _, err := s.Queue(ctx, devices[3].ID, []store.Outgoing{{Body: []byte(`"new"`), Copies: []store.Copy{{To: address(3), Header: []byte(`""`)}}}}, nil); err != nil {
		t.Fatal(err)
	}
	if list, err := s.Pending(ctx, devices[3].ID, before[9].Seq, 1<<20); err != nil || len(list) != 1 {
		t.Errorf("%d messages behind those from before, %v", len(list), err)
	}
}
