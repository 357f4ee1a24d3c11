package webhook

import (
	"testing"
	"time"
)

func TestPauseSums(t *testing.T) {
	least, most := time.Duration(0), time.Duration(0)
	for n := 1; ; n++ {
		pause, again := Pause(n, nil)
		if !again {
			if n != 20 {
				t.Errorf("parked after %d attempts", n)
			}
			break
		}
		longest, _ := Pause(n, func(n int64) int64 { return n - 1 })
		if longest < pause || longest > pause+pause/10 {
			t.Errorf("attempt %d: pause %v with jitter %v", n, pause, longest)
		}
		least, most = least+pause, most+longest
	}
	if want := 4*24*time.Hour + 10*time.Hour + 17*time.Minute + 35*time.Second; least != want {
		t.Errorf("pauses sum to %v, want %v", least, want)
	}
	if want := 4*24*time.Hour + 21*time.Hour; most > want || most < want-10*time.Minute {
		t.Errorf("longest pauses sum to %v, want about %v", most, want)
	}
	if pause, again := Pause(0, nil); pause != 0 || !again {
		t.Errorf("the first attempt waits %v, %v", pause, again)
	}
}

// Jitter that breaks its promise must not shorten or overstretch a pause.
func TestPauseJitterBounds(t *testing.T) {
	for _, draw := range []int64{-1 << 62, -1, 0, 1, 1 << 62} {
		for n := 1; n < Attempts; n++ {
			plain, _ := Pause(n, nil)
			got, _ := Pause(n, func(int64) int64 { return draw })
			if got < plain || got > plain+plain/10 {
				t.Errorf("attempt %d, draw %d: %v of %v", n, draw, got, plain)
			}
		}
	}
}
