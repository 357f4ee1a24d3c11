// Package sim plays PIPE against a hostile world from one seed: fake chains that reorganise, nodes that lie, shops that
// fail, payers that do anything, clocks that jump, and a process that dies at any call. The engine, the SQLite store and
// the signer are the real ones; time is virtual. An auditor that shares no rule with the engine judges every commit, and
// at the end, when the faults are over, what became of every invoice. It is not in the product: all of it is tests.
package sim
