package store

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"poosh/server/pushsocket/store/postgrestest"
)

// What expires in one change is of the devices that it holds, though a Seq is of several.
func TestExpireOfHeldDevices(t *testing.T) {
	where := postgrestest.Shared(t).Schema(t)
	s := openAt(t, where, Limits{})
	one, two := register(t, s, "one", "1", 0), register(t, s, "two", "1", 0)
	const add = `INSERT INTO messages (device, seq, tag, sender, standing, header, body)
		SELECT CAST($1 AS BIGINT), n, 0, 0, 0, '', '' FROM generate_series(CAST($2 AS BIGINT), CAST($3 AS BIGINT)) n`
	alter(t, s, add, int64(one.ID), 1, expireStep)
	alter(t, s, add, int64(two.ID), expireStep, expireStep)
	unlock := lock(t, s, fmt.Sprint("SELECT FROM devices WHERE id = ", two.ID, " FOR UPDATE"))
	done := make(chan error, 1)
	n := 0
	go func() (err error) {
		defer func() { done <- err }()
		n, err = s.Expire(t.Context(), time.Now())
		return err
	}()
	eventually(t, "the messages of the device that nobody locked go", func() bool {
		var left int
		ask(t, s, `SELECT count(*) FROM messages WHERE device = $1`, []any{int64(one.ID)}, &left)
		return left == 0
	})
	unlock()
	if err := <-done; err != nil || n != expireStep+1 {
		t.Error(n, err)
	}
	checkWaits(t, s)
}

// Processes that expire the same messages at once do not meet.
func TestProcessesExpire(t *testing.T) {
	where := postgrestest.Shared(t).Schema(t)
	stores := []*keeper{openAt(t, where, Limits{}), openAt(t, where, Limits{}), openAt(t, where, Limits{})}
	const devices, each = 50, 100
	for i := range devices {
		d := register(t, stores[0], fmt.Sprint("k", i), "1", 0)
		alter(t, stores[0], `INSERT INTO messages (device, seq, tag, sender, standing, header, body)
			SELECT CAST($1 AS BIGINT), n, 0, 0, 0, '', '' FROM generate_series(1, CAST($2 AS BIGINT)) n`, int64(d.ID), each)
	}
	var all sync.WaitGroup
	var total atomic.Int64
	for _, s := range stores {
		all.Go(func() {
			n, err := s.Expire(t.Context(), time.Now())
			if err != nil {
				t.Error(err)
			}
			total.Add(int64(n))
		})
	}
	all.Wait()
	if n := total.Load(); n != devices*each {
		t.Errorf("%d of %d went", n, devices*each)
	}
	checkWaits(t, stores[0])
}
