package cluster

import (
	"context"
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"math/rand/v2"
	"strconv"

	"github.com/redis/rueidis"
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
// connection, see [link].
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
func (s *script) on(ctx context.Context, conn rueidis.CoreClient, keys, args []string) rueidis.RedisResult {
	return onAll(ctx, conn, []scripted{{s, keys, args}})[0]
}

// A scripted is a script with what it is to be done with.
type scripted struct {
	script     *script
	keys, args []string
}

// onAll runs several at once, none of which may be about a key of another one.
func onAll(ctx context.Context, conn rueidis.CoreClient, list []scripted) []rueidis.RedisResult {
	b := conn.B()
	commands := make([]rueidis.Completed, 0, len(list))
	for _, s := range list {
		commands = append(commands, b.Evalsha().Sha1(s.script.sha).Numkeys(int64(len(s.keys))).Key(s.keys...).Arg(s.args...).Build())
	}
	var answers []rueidis.RedisResult
	if len(list) == 1 {
		answers = append(answers, conn.Do(ctx, commands[0]))
	} else {
		answers = conn.DoMulti(ctx, commands...)
	}
	for i, s := range list {
		if err, ok := rueidis.IsRedisErr(answers[i].Error()); ok && err.IsNoScript() {
			answers[i] = conn.Do(ctx, b.Eval().Script(s.script.text).Numkeys(int64(len(s.keys))).Key(s.keys...).Arg(s.args...).Build())
		}
	}
	return answers
}

// freshEpoch names a log that may begin. A [hub.Position] has 50 bits for it, and 0 is none.
func freshEpoch() string { return strconv.FormatUint(rand.Uint64()>>14|1, 10) }
