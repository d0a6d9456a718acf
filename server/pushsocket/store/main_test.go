package store

import (
	"testing"

	"poosh/server/leaktest"
	"poosh/server/pushsocket/store/postgrestest"
)

func TestMain(m *testing.M) { leaktest.Main(m, postgrestest.End) }
