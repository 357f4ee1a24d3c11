package rate

import "time"

const (
	// Every is how often prices are asked for (rate.Every). A setting of the loop that calls Refresh.
	Every = 20 * time.Second
	// DefaultMaxAge is how old a price may be to count, and how far ahead of our clock (rate.MaxAge). A setting.
	DefaultMaxAge = 60 * time.Second
	// DefaultTimeout bounds one question to one source (rate.Timeout). A setting.
	DefaultTimeout = 5 * time.Second
	// MaxReply bounds a source's answer, in bytes after decompression (rate.MaxReply).
	MaxReply = 256 << 10
	// MinSources is how many sources of a currency must be set up (rate.Quorum).
	MinSources = 3
	// MinAgree is how many fresh sources must agree at least; besides, more than half of them must (rate.Quorum).
	MinAgree = 2
	// AgreeWithin is how far from the median a price may be to agree with it, in millionths: 2 % (rate.Quorum).
	AgreeWithin = 20_000
	// DefaultMaxStep is how far a price may move within StepWindow while fewer than StepAgree sources agree, in millionths:
	// 10 % in 10 minutes, else 3 (rate.MaxStep). A setting.
	DefaultMaxStep = 100_000
	StepWindow     = 10 * time.Minute
	StepAgree      = 3
	// DefaultKRWBand is how far a KRW price may be from the USD price at the exchange rate, in millionths: 20 %
	// (rate.KRWBand). A setting.
	DefaultKRWBand = 200_000
	// MaxFXAge is how old the exchange rate of KRW and USD may be (rate.KRWBand): over a weekend and a holiday.
	MaxFXAge = 96 * time.Hour
	// MaxSources is how many sources one board may have. A choice.
	MaxSources = 32
	// MaxHistory is how many accepted prices of a pair are kept for the step rule. A choice: StepWindow at four times the
	// usual pace.
	MaxHistory = 120
	// MaxNumber and maxExponent bound the text of a number in an answer: bytes, and powers of ten. A choice.
	MaxNumber   = 40
	maxExponent = 20
	// maxQuoted is how much of an unexpected answer an error repeats, in bytes.
	maxQuoted = 60
)

// million is the whole of shares that are counted in millionths.
const million = 1_000_000
