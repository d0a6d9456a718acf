package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"poosh/server/hub"
)

// agree compares with the engine what all nodes must have in common, and enters it if this is
// the first. secret is for a cluster whose operator set none; the engine never sees one that is
// set.
func (c *Cluster) agree(ctx context.Context, w *wire, secret string) error {
	kept := c.keptTogether()
	args := []string{"format", fmt.Sprint(format), "partitions", fmt.Sprint(len(c.rooms())), "check", checkOf(c.cfg.Secret), "kept", kept}
	if c.cfg.Secret == "" {
		args = append(args, "secret", secret)
	}
	there, err := foundScript.on(ctx, w, []string{c.nodes.meta(), c.nodes.leases()}, args).AsStrSlice()
	if err != nil {
		return fmt.Errorf("CLUSTER_REDIS: %s %w", c.cfg.Redis, c.cfg.Redis.worded(err))
	}
	if len(there) != len(args)/2 || there[0] != args[1] || there[1] != args[3] {
		return errFormat(&c.cfg)
	}
	if there[2] != args[5] {
		return errSecret
	}
	if there[3] != kept {
		return errKept(there[3], kept)
	}
	secret = c.cfg.Secret
	if secret == "" {
		secret = there[4]
	}
	c.secret.Store(&secret)
	return nil
}

var errSecret = errors.New("CLUSTER_SECRET: differs from that of the nodes that are there: want the same on all of them, or to end all before it is changed")

func errFormat(cfg *Config) error {
	return fmt.Errorf("CLUSTER_PREFIX: what is in %s under %q was made by a version that this one cannot be beside: want another prefix, or the same version on all nodes", cfg.Redis, cfg.Prefix)
}

// checkOf is what nodes compare to know that an operator set the same secret on all; "none" for
// none.
func checkOf(secret string) string {
	if secret == "" {
		return "none"
	}
	sum := sha256.Sum256([]byte("poosh cluster\x00" + secret))
	return hex.EncodeToString(sum[:])
}

// agreeAgain is for an engine that may have forgotten what all nodes agreed on.
func (c *Cluster) agreeAgain(ctx context.Context) error {
	l := c.own.current()
	if l == nil {
		return fmt.Errorf("CLUSTER_REDIS: %s: %w", c.cfg.Redis, hub.ErrAway)
	}
	return c.agree(ctx, l.line.wire, c.Secret())
}
