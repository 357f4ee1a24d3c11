package store

// Stamp is what was kept last beside the signer's journal too, "" before the first.
func (t *tx) Stamp() (string, error) {
	text, err := t.q.Stamp(t.ctx)
	return text, t.fail("find stamp", err)
}

// SaveStamp changes the stamp.
func (t *tx) SaveStamp(text string) error {
	return t.fail("save stamp", t.q.SaveStamp(t.ctx, text))
}
