package payment

import "time"

const (
	// IDLength is the length of an id, in hex digits (contract).
	IDLength = 64
	// MaxOrderID, MaxOrderName, MaxURL, MaxAddress and MaxKey bound texts that callers send, in characters.
	MaxOrderID   = 128
	MaxOrderName = 255
	MaxURL       = 2048
	MaxAddress   = 128
	MaxKey       = 255
	// MaxName bounds the name of a merchant or an application, in characters.
	MaxName = 128
	// MaxLogo bounds an application's logo, in bytes, and MaxSupport whom its payers can ask, in characters.
	MaxLogo    = 32 << 10
	MaxSupport = 254
	// MaxOrigins, MaxNetworks and MaxKeys bound what one application may register.
	MaxOrigins  = 32
	MaxNetworks = 64
	MaxKeys     = 8
	// MaxQuotes bounds the quotes of one invoice: choosing, changing and getting more time all add one.
	MaxQuotes = 64

	// DefaultQuoteWindow is how long a quote holds (contract). A setting.
	DefaultQuoteWindow = 30 * time.Minute
	// DefaultChooseWithin is how long an invoice waits for a coin to be chosen, and the bound of extensions. A setting.
	DefaultChooseWithin = 24 * time.Hour
	// DefaultExchangeWindow is the quote window for payers who send from an exchange. A setting.
	DefaultExchangeWindow = 60 * time.Minute
	// DefaultTolerance is how much may be missing for an invoice to count as paid, in millionths (contract: 0.5 %). A
	// setting.
	DefaultTolerance = 5_000
	// MaxTolerance bounds the setting, in millionths: 10 %.
	MaxTolerance = 100_000
	// MinQuoteWindow and MaxQuoteWindow bound the window settings.
	MinQuoteWindow = time.Second
	MaxQuoteWindow = 7 * 24 * time.Hour
	// MaxDepth bounds the required confirmations, in blocks.
	MaxDepth = 1_000
	// DefaultDepthBTC and DefaultDepthETH are the confirmations required by default, in blocks (contract).
	DefaultDepthBTC = 2
	DefaultDepthETH = 12
	// MaxSettleHold bounds how long coins are held before they are settled, and MinSettleEvery the pause of a schedule. Choices.
	MaxSettleHold  = 90 * 24 * time.Hour
	MinSettleEvery = time.Second
	// WindowsOfExtension is how many quote windows an invoice may always last, whatever ChooseWithin says.
	WindowsOfExtension = 11

	// MaxEmail bounds an e-mail address, in bytes (RFC 5321, 4.5.3.1.3, without the brackets).
	MaxEmail = 254
	// SessionIdle is how long a log-in lasts without a request (admin.SignInIdle), SessionMax how long at all
	// (admin.SignInMax). Settings.
	SessionIdle = 30 * time.Minute
	SessionMax  = 12 * time.Hour
)
