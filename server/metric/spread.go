package metric

// A Spread is how many of some things were of which size.
type Spread struct {
	Count  uint64
	Sum    float64
	Bounds []float64 // upper bounds, ascending, without infinity
	Below  []uint64  // how many were not above each bound
}
