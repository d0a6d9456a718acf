package cluster

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"math/rand/v2"
	"strconv"
	"strings"

	"poosh/server/cluster/resp"
)

//go:embed scripts/prelude.lua
var preludeText string

//go:embed scripts/publish.lua
var publishText string

//go:embed scripts/keep.lua
var keepText string

//go:embed scripts/kept.lua
var keptText string

//go:embed scripts/page.lua
var pageText string

//go:embed scripts/many.lua
var manyText string

//go:embed scripts/fence.lua
var fenceText string

//go:embed scripts/resume.lua
var resumeText string

//go:embed scripts/lacks.lua
var lacksText string

//go:embed scripts/forget.lua
var forgetText string

//go:embed scripts/found.lua
var foundText string

//go:embed scripts/beat.lua
var beatText string

//go:embed scripts/claim.lua
var claimText string

//go:embed scripts/log.lua
var logText string

//go:embed scripts/roster.lua
var rosterText string

//go:embed scripts/desk.lua
var deskText string

//go:embed scripts/seat.lua
var seatText string

//go:embed scripts/reap.lua
var reapText string

//go:embed scripts/due.lua
var dueText string

//go:embed scripts/count.lua
var countText string

//go:embed scripts/rooms.lua
var roomsText string

//go:embed scripts/hold.lua
var holdText string

//go:embed scripts/held.lua
var heldText string

//go:embed scripts/gone.lua
var goneText string

//go:embed scripts/free.lua
var freeText string

//go:embed scripts/once_lease.lua
var onceLeaseText string

//go:embed scripts/once_begin.lua
var onceBeginText string

//go:embed scripts/once_take.lua
var onceTakeText string

// A script runs in the engine, where nothing else runs meanwhile.
//
// Why not rueidis.Lua: that asks for a client, and everything of a partition goes over one
// connection, see [link] and [wire].
type script struct {
	text, sha string
}

// The scripts. Two versions of Poosh have scripts of their own: they go by their digest.
var (
	publishScript = newScript(preludeText + keepText + publishText)
	manyScript    = newScript(manyText)
	fenceScript   = newScript(preludeText + fenceText)
	resumeScript  = newScript(preludeText + resumeText)
	foundScript   = newScript(foundText)
	beatScript    = newScript(beatText)
	claimScript   = newScript(claimText)
	keptScript    = newScript(keptText)
	pageScript    = newScript(pageText)
	lacksScript   = newScript(lacksText)
	forgetScript  = newScript(forgetText)

	deskScript  = newScript(preludeText + logText + rosterText + deskText)
	seatScript  = newScript(preludeText + logText + rosterText + seatText)
	reapScript  = newScript(preludeText + logText + rosterText + reapText)
	dueScript   = newScript(preludeText + logText + rosterText + dueText)
	countScript = newScript(countText)
	roomsScript = newScript(roomsText)
	holdScript  = newScript(preludeText + holdText)
	heldScript  = newScript(heldText)
	goneScript  = newScript(goneText)
	freeScript  = newScript(freeText)

	onceLeaseScript = newScript(onceLeaseText)
	onceBeginScript = newScript(preludeText + onceBeginText)
	onceTakeScript  = newScript(preludeText + onceTakeText + keepText + publishText)
)

func newScript(text string) *script {
	sum := sha1.Sum([]byte(text)) // as Redis names scripts
	return &script{text, hex.EncodeToString(sum[:])}
}

// on runs the script on a connection, and teaches it to an engine that does not know it: one
// that was started anew forgets.
func (s *script) on(ctx context.Context, w *wire, keys, args []string) reply {
	came := make(chan reply, 1)
	w.scripts([]scripted{{s, keys, args}}, true, func(list []reply) { came <- list[0] })
	select {
	case r := <-came:
		return r
	case <-ctx.Done():
		return reply{err: ctx.Err()}
	}
}

// A scripted is a script with what it is to be done with.
type scripted struct {
	script     *script
	keys, args []string
}

// appendTo writes it as a command, with the whole script or its digest.
func (s *scripted) appendTo(b []byte, whole bool) []byte {
	b = resp.AppendHead(b, 3+len(s.keys)+len(s.args))
	if whole {
		b = resp.AppendArg(resp.AppendArg(b, "EVAL"), s.script.text)
	} else {
		b = resp.AppendArg(resp.AppendArg(b, "EVALSHA"), s.script.sha)
	}
	b = resp.AppendArg(b, strconv.Itoa(len(s.keys)))
	for _, k := range s.keys {
		b = resp.AppendArg(b, k)
	}
	for _, a := range s.args {
		b = resp.AppendArg(b, a)
	}
	return b
}

// bound is how many bytes it takes to write it by its digest.
func (s *scripted) bound() int {
	n := 128
	for _, k := range s.keys {
		n += len(k) + 32
	}
	for _, a := range s.args {
		n += len(a) + 16
	}
	return n
}

// scripts runs several at once, none of which may be about a key of another one. done is called once, with an answer of each;
// what is said of [wire.say] holds for it. Either a goroutine waits for it, or it is urgent.
func (w *wire) scripts(list []scripted, waited bool, done func([]reply)) {
	bound := 0
	for i := range list {
		bound += list[i].bound()
	}
	text := make([]byte, 0, bound)
	for i := range list {
		text = list[i].appendTo(text, false)
	}
	w.say(text, &command{want: len(list), waited: waited, done: func(answers []reply, err error) {
		w.teach(list, answered(answers, len(list), err), waited, done)
	}}, !waited)
}

// answered are so many answers, where there may be none.
func answered(answers []reply, want int, err error) []reply {
	if err == nil {
		return answers
	}
	list := make([]reply, want)
	for i := range list {
		list[i].err = err
	}
	return list
}

// teach runs those anew that the engine did not know.
func (w *wire) teach(list []scripted, answers []reply, waited bool, done func([]reply)) {
	var text []byte
	var again []int // places in list
	for i := range answers {
		if err := answers[i].Error(); err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT") {
			again = append(again, i)
			text = list[i].appendTo(text, true)
		}
	}
	if len(again) == 0 {
		done(answers)
		return
	}
	w.say(text, &command{want: len(again), waited: waited, done: func(more []reply, err error) {
		for k, r := range answered(more, len(again), err) {
			answers[again[k]] = r
		}
		done(answers)
	}}, !waited)
}

// freshEpoch names a log that may begin. A [hub.Position] has 50 bits for it, and 0 is none.
func freshEpoch() string { return strconv.FormatUint(rand.Uint64()>>14|1, 10) }
