package payment

import "time"

// A Note is what somebody of the team wrote to an invoice, for the team alone.
type Note struct {
	ID        ID
	InvoiceID ID
	AuthorID  ID
	Author    string // their e-mail address then
	Text      string // lines end with \n
	CreatedAt time.Time
}
