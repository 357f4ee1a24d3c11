// Package payment holds the words and the rules: the types of the business, the pure function that computes an invoice's
// status from facts, the tables of allowed edges, and the errors that reach people. Nothing here reads a clock, a database
// or a network.
package payment

import "strings"

// An ID names a merchant, application, invoice, event or callback: 64 upper-case hex digits, of which the first 12 are
// the milliseconds of its making and the rest are random.
type ID string

// ParseID reads an id as callers write it; lower-case digits are taken.
func ParseID(text string) (ID, bool) {
	if len(text) != IDLength {
		return "", false
	}
	up := strings.ToUpper(text)
	if strings.Trim(up, "0123456789ABCDEF") != "" {
		return "", false
	}
	return ID(up), true
}
