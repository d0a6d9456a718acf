package idempotency

import (
	"time"

	"poosh/server/setting"
)

// A Config says how long and how much is remembered, of each app. Zero fields mean the
// defaults of [Config.Settings].
type Config struct {
	TTL   time.Duration // of a key, from when its request was answered
	Most  int           // keys
	Bytes int64         // of keys and answers, with [entryCost] for each
}

// Settings describes the settings that fill c.
func (c *Config) Settings() *setting.Group {
	return &setting.Group{Title: "Idempotency keys", Settings: []setting.Setting{
		{Name: "IDEMPOTENCY_TTL", Default: "2m", Changes: setting.OnReload, Help: "Time for which the answer to a send with an idempotency key is kept: a second request with the key sends nothing and is answered the same",
			Value: setting.Span(&c.TTL, time.Second, 24*time.Hour)},
		{Name: "IDEMPOTENCY_KEYS", Default: "100000", Changes: setting.OnReload, Help: "Idempotency keys that are kept of one app; more and the oldest are forgotten before their time",
			Value: setting.Count(&c.Most, 1, 10_000_000)},
		{Name: "IDEMPOTENCY_BYTES", Default: "32MiB", Changes: setting.OnReload, Help: "Bytes that these and their answers may take, with 350 for each; more and the oldest are forgotten before their time",
			Value: setting.Size(&c.Bytes, "64KiB", "64GiB")},
	}}
}

func (c Config) withDefaults() *Config {
	setting.Fill(c.Settings().Settings)
	return &c
}
