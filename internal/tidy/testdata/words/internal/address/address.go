// Package address is singular, though it ends so.
package address

type AddressBook struct{} // want

type Addressed struct{}

type Address struct{}

func AddressOf() {} // want
