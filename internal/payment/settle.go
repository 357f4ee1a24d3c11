package payment

import "time"

// Check refuses a policy outside its ranges, naming the setting at fault. A schedule divides the day, so that its times are the
// same every day.
func (s SettlePolicy) Check() error {
	if s.Hold < 0 || s.Hold > MaxSettleHold {
		return Malformed("settle_hold", "must be between 0 and %d days", MaxSettleHold/day)
	}
	if s.Every < 0 || s.Every > 0 && (s.Every < MinSettleEvery || day%s.Every != 0) {
		return Malformed("settle_every", "must be a part of a day like 1h, 6h or 24h, at least %s, or 0 for at once", MinSettleEvery)
	}
	for coin, least := range s.Above {
		if !coin.IsCoin() || least.Currency() != coin || least.Sign() <= 0 {
			return Malformed("settle_above", "must name coins, each with an amount of it above zero")
		}
	}
	return nil
}

const day = 24 * time.Hour
