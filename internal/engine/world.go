package engine

import (
	"strings"

	"github.com/pipe-pg/pipe/internal/payment"
)

// A World is whether the coins here have a worth. Its API keys say so, that nobody ships goods for coins of no worth, nor takes a live
// key for one to play with.
type World struct {
	Test  bool
	Other string // what shops call the server of the other world; "": it is not known
}

// KeyLive and KeyTest begin every API key, so that a leaked one is recognised by scanners. They are of one length.
const (
	KeyLive = "pipe_live_"
	KeyTest = "pipe_test_"
)

// KeyPrefix begins the keys that are made here.
func (w World) KeyPrefix() string {
	if w.Test {
		return KeyTest
	}
	return KeyLive
}

// unknownKey refuses a key that is not known here, and says where it belongs if it is one of the other world. Nothing is given away by
// that: it is read from the key alone.
func (w World) unknownKey(key string) error {
	refuse := func(format string, args ...any) error {
		e := payment.Refuse(payment.Unauthorized, payment.WordNoKey, format, args...)
		e.Field = "api_key"
		return e
	}
	switch live, test := strings.HasPrefix(key, KeyLive), strings.HasPrefix(key, KeyTest); {
	case live && w.Test && w.Other != "":
		return refuse("this is a live key, and the coins here have no worth: call %s with it", w.Other)
	case live && w.Test:
		return refuse("this is a live key, and the coins here have no worth: call the live server with it, or take a test key of this one")
	case test && !w.Test && w.Other != "":
		return refuse("this is a test key, and this server is live: call %s with it, or take a live key of this one", w.Other)
	case test && !w.Test:
		return refuse("this is a test key, and this server is live: call the test server with it, or take a live key of this one")
	}
	return refuse("unknown api key: send the key of your application as api_key or as Authorization: Bearer")
}
