package checkout

import "time"

const (
	// RatePerPage and RatePerIP bound the requests per minute of one caller, on one invoice and in all. Settings.
	RatePerPage = 60
	RatePerIP   = 600
	// RefundPerHour bounds how often the refund address of one invoice is saved. A setting.
	RefundPerHour = 10
	// LookupPerHour bounds how often transactions are looked up for one invoice, a setting, and LookupPerMinute how often in
	// one process: each costs the nodes a few calls.
	LookupPerHour   = 20
	LookupPerMinute = 120
	// Recheck is how often a live feed looks for a change by itself, in case a wake-up was missed.
	Recheck = 5 * time.Second
	// EndingFrom is how long before the deadline the page says that time is running out (experience 1.2).
	EndingFrom = 2 * time.Minute
	// ReturnAfter is how long a paid page shows its result before it goes back to the shop.
	ReturnAfter = 5 * time.Second
	// ReturnWithin is for how long after being paid a page still goes back by itself: later it is opened as a receipt.
	ReturnWithin = 10 * time.Minute
	// MaxLabel bounds the texts in a wallet link, in bytes before encoding.
	MaxLabel = 80
)
