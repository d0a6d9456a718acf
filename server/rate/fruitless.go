package rate

import "time"

// A Fruitless bounds questions of which much is made before it turns out that nobody can take
// the answer, such as for more of a history than fits into an outbox: somebody may ask so 20
// times at once, and then once in 30 seconds. In between no such question is looked at. The
// zero Fruitless is at rest. Its owner locks.
type Fruitless struct{ pace Pace }

var fruitless = Rate{Limit: 1, Per: 30 * time.Second}

// FruitlessAtOnce is how many such questions may come at once.
const FruitlessAtOnce = 20

// Spent reports whether a question is not to be looked at. now is any clock that does not go
// back.
func (f *Fruitless) Spent(now time.Duration) bool {
	return f.pace.Spent(fruitless, FruitlessAtOnce, now)
}

// Note notes that a question was fruitless.
func (f *Fruitless) Note(now time.Duration) { f.pace.Allow(fruitless, FruitlessAtOnce, now) }
