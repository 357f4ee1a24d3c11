// Package e2e drives the built programs as strangers would, from outside: by HTTP, by the command line, by files and by
// the demo's control endpoints. Its tests are written from the merchant guide and the contract alone and import nothing
// of what they test.
package e2e
