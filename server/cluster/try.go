package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/rueidis"

	"poosh/server/hub"
)

// Try looks whether the engine can be reached and would let a node of cfg join, for who checks the
// settings, within ctx. It leaves nothing there: what it asks for is about a key and a channel that
// nobody has. kept are the apps that would be [Options].Together. The error and the warnings begin with a
// setting's name, say what is wrong, and have no secret.
func Try(ctx context.Context, cfg Config, kept []string) (warnings []string, err error) {
	where := func(err error) ([]string, error) {
		return nil, fmt.Errorf("CLUSTER_REDIS: %s %w", cfg.Redis, cfg.Redis.worded(err))
	}
	client, err := dialOnce(ctx, &cfg, newName())
	if err != nil {
		return where(err)
	}
	defer client.Close()
	// An engine that is too old is found before what it does not know.
	info, err := client.Do(ctx, client.B().Info().Section("server").Build()).ToString()
	if err == nil {
		err = oldEngine(info)
	}
	if err != nil {
		return where(err)
	}
	parts, nodes := tagsOf(&cfg)
	number := partitions
	if client.Mode() != rueidis.ClientModeCluster {
		number = fewPartitions
	}
	for _, t := range append(parts[:number:number], nodes) { // each may be at another server of a Redis Cluster
		if err := tryRights(ctx, client, t); err != nil {
			return where(err)
		}
	}
	if policy := evictionPolicy(client.Do(ctx, client.B().Info().Section("memory").Build()).ToString()); policy != "" {
		warnings = append(warnings, fmt.Sprintf("CLUSTER_REDIS: %s has the maxmemory-policy %s: with it Redis may forget who is in rooms, and nobody would know; want noeviction", cfg.Redis, policy))
	}
	return warnings, tryAgree(ctx, client, &cfg, nodes, number, listed(kept))
}

// tryRights does what a node does in a partition, each kind once, to what is not there.
func tryRights(ctx context.Context, client rueidis.Client, t tag) error {
	none := string(t) + ":check"
	set := none + ":set" // which is there for a moment
	var list []rueidis.Completed
	for _, words := range [][]string{
		{"EVAL", "return 1", "1", none}, {"TIME"}, {"PING"},
		{"EXISTS", none}, {"GET", none}, {"SET", none, "", "XX"}, {"DEL", none}, {"UNLINK", none}, {"EXPIRE", none, "1"}, {"PTTL", none},
		{"HDEL", none, "f"}, {"ZREM", none, "m"}, {"LTRIM", none, "0", "-1"}, {"RENAME", none, none},
		{"SPUBLISH", none, ""}, {"SMEMBERS", set}, {"SADD", set, "m"}, {"EXPIRE", set, "1"}, {"DEL", set},
	} {
		b := client.B().Arbitrary(words[0])
		if words[0] == "EVAL" {
			b = b.Args(words[1], words[2]).Keys(none)
		} else if len(words) > 1 {
			b = b.Keys(words[1]).Args(words[2:]...)
		}
		list = append(list, b.Build())
	}
	for _, r := range client.DoMulti(ctx, list...) {
		if err := r.Error(); err != nil && !rueidis.IsRedisNil(err) && !strings.Contains(err.Error(), "no such key") { // of RENAME
			return err
		}
	}
	return nil
}

// tryAgree looks whether nodes that are there have another secret, keep the events of other apps, or are
// of a version that this one cannot be beside; see [Cluster.agree].
func tryAgree(ctx context.Context, client rueidis.Client, cfg *Config, nodes tag, number int, kept string) error {
	where := func(err error) error { return fmt.Errorf("CLUSTER_REDIS: %s %w", cfg.Redis, cfg.Redis.worded(err)) }
	// By the engine's clock: leases that are over stay until somebody has cleaned up.
	now, err := client.Do(ctx, client.B().Time().Build()).AsStrSlice()
	if err != nil || len(now) != 2 {
		return where(cmp.Or(err, errors.New("TIME: not an answer")))
	}
	micros, err := strconv.ParseInt(now[1], 10, 64)
	if err != nil {
		return where(err)
	}
	there, err := client.Do(ctx, client.B().Zcount().Key(nodes.leases()).Min(fmt.Sprintf("(%s%03d", now[0], micros/1000)).Max("+inf").Build()).AsInt64()
	if err != nil {
		return where(err)
	}
	said, err := client.Do(ctx, client.B().Hgetall().Key(nodes.meta()).Build()).AsStrMap()
	if err != nil {
		return where(err)
	}
	theirs, tell := said["kept"]
	switch {
	case len(said) == 0:
		return nil // it would be the first node
	case said["format"] != strconv.Itoa(format):
		return errFormat(cfg)
	case there == 0: // the next node may say otherwise
	case said["partitions"] != strconv.Itoa(number):
		return errFormat(cfg)
	case said["check"] != checkOf(cfg.Secret):
		return errSecret
	case tell && theirs != kept:
		return errKept(theirs, kept)
	}
	return nil
}

// Worded is an error of the way to an engine that is none of a cluster, for an operator, without secrets.
func (e Engine) Worded(err error) error {
	if e.isSecret(err.Error()) {
		return errors.New("it does not know how to let somebody in")
	}
	return err
}

// worded says what an operator is to do about what the engine, or the way to it, answers. The
// engine's own words stand behind, unless they have a password: what does not know a command says
// what it was given.
func (e Engine) worded(err error) error {
	text := err.Error()
	if e.isSecret(text) {
		text, err = "unknown command", errors.New("it does not know how to let somebody in")
	}
	say := func(what string) error { return fmt.Errorf("%s: %w", what, err) }
	has := func(parts ...string) bool {
		for _, part := range parts {
			if strings.Contains(text, part) {
				return true
			}
		}
		return false
	}
	switch {
	case errors.Is(err, errOld):
		return err
	case errors.Is(err, context.DeadlineExceeded) && e.tls:
		return say("does not answer in time, or is not for TLS, as rediss:// says")
	case errors.Is(err, context.DeadlineExceeded):
		return say("does not answer in time")
	case errors.Is(err, hub.ErrAway):
		return err
	case has("READONLY"):
		return say("is a replica, which takes nothing: want its primary, or redis-sentinel:// for who knows which that is")
	case has("OOM command not allowed"):
		return say("is full: want more maxmemory for it")
	case has("MISCONF"):
		return say("takes nothing, since it cannot save its data: its log says why")
	case has("cluster support disabled"):
		return say("is no Redis Cluster, which several addresses are for: want one address, or redis-sentinel://")
	case has("No such master"):
		return say("does not know the primary whose name stands behind the last /: want the one that its Sentinels have in SENTINEL MASTERS")
	case has("x509:"):
		return say("has a certificate that this machine does not believe: want its name in CLUSTER_REDIS, and its authority among those of the system or in the file that SSL_CERT_FILE names")
	case e.master != "" && has("WRONGPASS", "NOAUTH"):
		return say("does not let this node in: want the user and password of the servers in front of the first address, and ?user=...&password=... of the Sentinels, where these have any, at the end of CLUSTER_REDIS")
	case has("WRONGPASS", "NOAUTH", "invalid password", "without any password configured"):
		return say("does not let this node in: want its user and password in CLUSTER_REDIS")
	case has("DB index is out of range", "invalid DB index"):
		return say("does not have the database whose number CLUSTER_REDIS ends with")
	case has("SELECT is not allowed in cluster mode"):
		return say("is a Redis Cluster, which has no databases: want no number at the end of CLUSTER_REDIS")
	case has("NOPERM", "The user executing the script can't run"):
		return say("lets this node in, but not do all that it has to: want the rights of its user that docs/cluster.md lists")
	case has("MOVED"):
		return say("is a Redis Cluster, and does not tell this node of its servers: want the right +cluster, see docs/cluster.md")
	case has("unknown command"):
		return say("does not know a command: want Redis 7 or Valkey, with no command renamed")
	}
	if !e.tls && has("connection reset by peer", "EOF") {
		return say("is not there, or is for TLS: want rediss:// then")
	}
	return say("is not there")
}

// isSecret reports whether a text has a password.
func (e Engine) isSecret(text string) bool {
	for _, secret := range []string{e.password, e.sentinelPassword} {
		if secret != "" && strings.Contains(text, secret) {
			return true
		}
	}
	return false
}

var errOld = errors.New("is too old")

// oldEngine reads what INFO says of the server. Valkey tells with which version of Redis it goes.
func oldEngine(info string) error {
	for line := range strings.SplitSeq(info, "\r\n") {
		if version, ok := strings.CutPrefix(line, "redis_version:"); ok {
			major, _, _ := strings.Cut(version, ".")
			if n, err := strconv.Atoi(major); err == nil && n < 7 {
				return fmt.Errorf("%w: it is Redis %s, want Redis 7 or Valkey", errOld, version)
			}
		}
	}
	return nil
}
