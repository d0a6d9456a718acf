package socketio

import (
	"time"

	"poosh/server/closed"
)

// How sessions of a [model] end, and what its clocks do.

// end ends the session; code is what its WebSockets are closed with.
func (m *model) end(reason closed.Reason, code string) {
	if m.life != lifeOpen {
		return
	}
	m.life, m.why = lifeClosed, code
	kept := false
	if m.via.polls() {
		switch {
		case reason == reasonClosed, m.waits && m.goesAway:
			m.free("6")
		case m.waits:
			m.free("1")
		case reason == reasonPacket || reason == reasonForced:
			kept = !m.goesAway || len(m.queue) > 0
		}
	}
	if kept {
		m.life, m.kept = lifeKept, m.now+lingerIdle
		if len(m.queue) > 0 && m.via != viaHandshake {
			m.kept = m.now + lingerFull
		}
	} else {
		m.queue = nil
	}
	if !kept || m.via != viaAsked {
		m.hangUp(code)
	}
	if m.inside {
		m.tell("left: " + reason.String())
	}
	m.inside = false
}

// slack is how exact the session's clock is: what is due is done within that.
const slack = 500 * time.Millisecond

// clocks are the model's, of modelConfig.
const (
	modelPing    = 25 * time.Second
	modelTimeout = 60 * time.Second
	modelUpgrade = 10 * time.Second
	modelConnect = 45 * time.Second
	modelBegin   = 20 * time.Second
)

var modelConfig = Config{PingInterval: modelPing, PingTimeout: modelTimeout, UpgradeTimeout: modelUpgrade,
	ConnectTimeout: modelConnect, UnfinishedTimeout: modelBegin}

// due is what the session's clocks do next, and when.
func (m *model) due() (at time.Duration, what func()) {
	at = time.Hour
	set := func(t time.Duration, do func()) {
		if t < at {
			at, what = t, do
		}
	}
	if m.via == viaProbing || m.via == viaAsked {
		set(m.probed+modelUpgrade, func() { m.hangUp("1008") })
	}
	if m.life == lifeKept {
		set(m.kept, func() { m.words(); m.hangUp(m.why) })
		return at, what
	}
	if m.life != lifeOpen {
		return at, what
	}
	if m.via == viaHandshake {
		set(modelBegin, func() { m.end(reasonUnfinished, "1000") })
	}
	switch {
	case m.eio != 4:
		set(m.heard+modelPing+modelTimeout, func() { m.end(reasonTimeout, "cut") })
		return at, what
	case m.awaited:
		set(max(m.heard, m.beat)+modelTimeout, func() { m.end(reasonTimeout, "cut") })
	default:
		set(m.beat+modelPing, func() { m.emit("2"); m.awaited, m.beat = true, m.now })
	}
	if !m.joined {
		set(modelConnect, func() {
			m.end(reasonForced, "1000")
		})
	}
	return at, what
}

// wait lets time pass until the next clock, and those that follow it closely, have
// done what they do.
func (m *model) wait() {
	if m.via == viaAsked && m.life == lifeOpen {
		m.free("6") // long before anything else is due
	}
	until := time.Duration(0)
	for {
		at, what := m.due()
		if what == nil || until > 0 && at > until+slack {
			break
		}
		m.now = max(m.now, at)
		until = max(until, at)
		what()
	}
	m.now = until + slack
}
