//go:build !linux

package server

import "poosh/server/prometheus"

func memoryBytes() (resident, virtual int64, ok bool) { return 0, 0, false }

func host() (prometheus.Host, bool) { return prometheus.Host{}, false }
