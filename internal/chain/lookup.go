package chain

import "github.com/pipe-pg/pipe/internal/money"

// Looked is what a node knows of one transaction. It is for telling people: nothing is ever credited by it.
type Looked struct {
	// Known: a block holds it, or it waits for one. False proves nothing: a node need not know old or distant ones.
	Known bool
	Mined bool
	// Failed: it was carried out in vain, and no coins moved.
	Failed bool
	// Called: it called a contract, which may have paid others in its turn.
	Called bool
	Pays   []Paid
	// Tokens are the addresses that were sent a token of some contract, which is no coin here.
	Tokens []string
}

// Paid is one address, in the network's normal form, that a transaction pays.
type Paid struct {
	To     string
	Amount money.Amount
}
