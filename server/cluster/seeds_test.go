package cluster

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
)

// A seeds has what a model draws from: seeds that are the same each time, so that the suite fails for a change and not by
// chance; a flag names another one, or has one be drawn.
type seeds struct {
	name  string // of the flag
	flag  *string
	fixed []uint64
}

func newSeeds(name string, fixed ...uint64) *seeds {
	return &seeds{name, flag.String(name, "", fmt.Sprintf("a seed, or random, in place of %d", fixed)), fixed}
}

// each runs a test with every one, side by side. A test that fails says how it is run again.
func (s *seeds) each(t *testing.T, run func(t *testing.T, draw *rand.Rand)) {
	list := s.fixed
	switch text := *s.flag; text {
	case "":
	case "random":
		list = []uint64{rand.Uint64()}
	default:
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("-%s: %v", s.name, err)
		}
		list = []uint64{seed}
	}
	for _, seed := range list {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			t.Parallel()
			t.Cleanup(func() {
				if t.Failed() {
					t.Logf("once more: -%s %d", s.name, seed)
				}
			})
			run(t, rand.New(rand.NewPCG(seed, 1)))
		})
	}
}
