package webhook

import "time"

// pauses are the least pauses after each failed attempt but the last (reliability, webhook.Schedule).
var pauses = [Attempts - 1]time.Duration{
	5 * time.Second, 30 * time.Second,
	2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute,
	time.Hour, 2 * time.Hour, 4 * time.Hour, 6 * time.Hour, 8 * time.Hour,
	12 * time.Hour, 12 * time.Hour, 12 * time.Hour, 12 * time.Hour, 12 * time.Hour, 12 * time.Hour, 12 * time.Hour,
}

// Pause is how long to wait after so many attempts were made (from 1), and whether there is a next one: after the last
// the callback is parked. Jitter lengthens the pause by up to one tenth and never shortens it; jitter(n) draws from 0 to
// n-1, as rand.Int64N does, and nil draws nothing. The pauses sum to 4 d 10 h 17 min 35 s at least, 4 d 21 h at most.
func Pause(attempts int, jitter func(n int64) int64) (pause time.Duration, again bool) {
	if attempts >= Attempts {
		return 0, false
	}
	if attempts < 1 {
		return 0, true // the first attempt goes at once
	}
	pause = pauses[attempts-1]
	if jitter != nil {
		most := int64(pause / JitterShare)
		pause += time.Duration(min(max(jitter(most+1), 0), most))
	}
	return pause, true
}
