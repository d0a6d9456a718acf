package wire

// Waiting returns how many bytes the connection has still to write: a measure
// for who has more to give than an outbox holds.
func (c *Conn) Waiting() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size
}
