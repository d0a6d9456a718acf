package returning

import (
	"testing"

	"poosh/server/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }
