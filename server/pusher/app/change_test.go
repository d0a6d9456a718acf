package app

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"poosh/server/hub"
	"poosh/server/pusher/tally"
	"poosh/server/quota"
)

// An app that is gone ends when its own clients have left, also when an app of its id is there
// again that has clients.
func TestAppComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conf := Config{ID: "3", Key: "key", Secret: "not-so-secret"}
		apps, err := NewList([]Config{conf}, &Shared{
			Hub: hub.New(), Channels: quota.New(1 << 20), CacheBytes: 1 << 20,
			Count: func(tally.Thing, int) {}, Log: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		change := func(configs ...Config) {
			commit, err := apps.Change(configs, Bounds{CacheBytes: 1 << 20})
			if err != nil {
				t.Fatal(err)
			}
			commit()
		}
		before := open(t, apps.ID("3"))
		change(Config{ID: "4", Key: "four", Secret: "of-another"})
		change(conf)
		after := open(t, apps.ID("3"))
		ended := make(chan struct{})
		go func() { // ends when all apps that are gone have
			apps.leaving.Wait()
			close(ended)
		}()
		has := func() bool {
			synctest.Wait()
			select {
			case <-ended:
				return true
			default:
				return false
			}
		}
		time.Sleep(time.Second)
		if has() {
			t.Error("its clients are not waited for")
		}
		before.close()
		time.Sleep(time.Second)
		if !has() {
			t.Error("it waits for clients that are not its own")
		}
		after.close()
		time.Sleep(removeWithin)
		if err := apps.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
