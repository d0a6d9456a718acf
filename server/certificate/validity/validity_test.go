package validity

import (
	"crypto/x509"
	"testing"
	"time"
)

func TestOf(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		name     string
		from, to time.Duration // from now
		want     State
		days     int
	}{
		{"good", -day, 60 * day, Good, 60},
		{"it begins now", 0, 60 * day, Good, 60},
		{"it begins in a moment", time.Nanosecond, 60 * day, Early, 60},
		{"it ends now", -60 * day, 0, Soon, 0},
		{"it ended a moment ago", -60 * day, -time.Nanosecond, Expired, 0},
		{"a sixth is left", -50 * day, 10 * day, Good, 10},
		{"less than a sixth is left", -50 * day, 10*day - time.Second, Soon, 9},
		{"two weeks are left of a year", -351 * day, 14 * day, Good, 14},
		{"less than two weeks are left of a year", -351 * day, 14*day - time.Second, Soon, 13},
		{"of a short life", -5 * time.Hour, time.Hour, Good, 0},
		{"of a short life, at its end", -6 * time.Hour, time.Hour, Soon, 0},
	} {
		leaf := &x509.Certificate{NotBefore: now.Add(row.from), NotAfter: now.Add(row.to)}
		if got, days := Of(leaf, now), Days(leaf, now); got != row.want || days != row.days {
			t.Errorf("%s: %d and %d days, want %d and %d", row.name, got, days, row.want, row.days)
		}
	}
}
