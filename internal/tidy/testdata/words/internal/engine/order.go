// Package engine has words that are taken.
package engine

type (
	Order   struct{} // want
	OrderID string
)

type Payment struct{} // want
