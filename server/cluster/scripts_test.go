package cluster

import (
	"slices"
	"testing"

	"poosh/server/cluster/redistest"
)

// Scripts that the engine does not know are taught to it, and each answer is that of its script.
func TestScriptsAreTaught(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	w := reach(t, ownLoop(t), at(redis.Addr), &ears{})
	known, unknown, wrong := newScript("return 'known ' .. ARGV[1]"), newScript("return KEYS[1] .. ' ' .. ARGV[1]"), newScript("return redis.error_reply('NO ' .. ARGV[1])")
	redis.Do("SCRIPT", "LOAD", known.text)
	for range 3 {
		came := make(chan []reply, 2)
		w.scripts([]scripted{{known, nil, []string{"1"}}, {unknown, []string{"k"}, []string{"2"}}, {wrong, nil, []string{"3"}}, {known, nil, []string{"4"}}, {unknown, []string{"l"}, []string{"5"}}},
			false, func(list []reply) { came <- list })
		var got []string
		for _, r := range await(t, came, "the answers") {
			text, err := r.ToString()
			if err != nil {
				text = err.Error()
			}
			got = append(got, text)
		}
		if want := []string{"known 1", "k 2", "NO 3", "known 4", "l 5"}; !slices.Equal(got, want) {
			t.Errorf("they answer %q; want %q", got, want)
		}
		redis.Do("SCRIPT", "FLUSH")
	}
}

// An engine that forgets its scripts again and again is taught them, and each publication is there once.
func TestScriptsAreForgottenBetweenPublications(t *testing.T) {
	t.Parallel()
	redis := redistest.Start(t)
	a := join(t, config(t, at(redis.Addr)))
	a.enter("r")
	stop := a.sendOn("r")
	for range 10 {
		redis.Do("SCRIPT", "FLUSH")
		before := a.count.published.Load()
		until(t, "some more are published", func() bool { return a.count.published.Load() > before+3 })
	}
	a.hasExactly("r", numbered(1, stop()))
	if n := a.lost(); n > 0 {
		t.Errorf("%d links were lost", n)
	}
}
