// Package util holds what fits nowhere.
package util // want
