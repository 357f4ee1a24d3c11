// Package tidy holds the house rules as tests: what may import what, how long things may be, which words are taken, and
// what the pure packages must not touch. ARCHITECTURE.md and CONTRIBUTING.md tell the rules to people; the tests here hold
// everyone to them. Nothing of it is in the product.
//
// Each rule is a function over a tree of files. TestHouse runs all over the project; TestPlanted runs each over a small tree
// in testdata that breaks the rule on the lines marked "want", and only there.
package tidy
