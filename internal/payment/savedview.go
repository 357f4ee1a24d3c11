package payment

import "time"

// A SavedView is a list of payments that somebody keeps by name: what it is filtered by, at one merchant.
type SavedView struct {
	ID         ID
	UserID     ID
	MerchantID ID
	Name       string
	Query      string // as URLs have it
	CreatedAt  time.Time
}
