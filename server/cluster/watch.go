package cluster

import "time"

// blip is how long the engine may be gone without anybody being told.
const blip = 250 * time.Millisecond

// watch looks each 100 ms for what waited too long and whether the engine is there. It ends with
// the cluster.
func (c *Cluster) watch() {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-c.over.Done():
			return
		case <-tick.C:
		}
		var away time.Duration
		var why error
		for _, p := range c.parts {
			if d, err := p.expire(); d > away {
				away, why = d, err
			}
		}
		for _, w := range c.writers {
			w.expire(time.Now())
		}
		c.note(away <= blip, why)
		c.weigh()
	}
}

// note says so when the engine has gone or is back.
func (c *Cluster) note(up bool, why error) {
	if up == c.up.Load() {
		return
	}
	c.up.Store(up)
	if up {
		c.log.Info("the cluster's engine is back", "engine", c.cfg.Redis.String())
		c.beatNow()
		return
	}
	c.refuses.Store(nil) // the one that comes back may be another one, which has yet to say no
	what := "sends are refused until it is back"
	if c.cfg.WhenDown == Local {
		what = "sends reach the clients of this node alone until it is back"
	}
	c.log.Error("the cluster's engine is away: "+what, "engine", c.cfg.Redis.String(), "err", why)
}
