package money

const (
	// MaxText is the longest decimal text that Parse and ParseRate read, in bytes: far above any real amount, and small
	// enough that reading it costs nothing.
	MaxText = 80
	// MaxUnitDigits is the longest whole number of smallest units, in digits: what NUMERIC(78,0) holds.
	MaxUnitDigits = 78
	// maxQuoted is how much of bad text an error repeats, in bytes.
	maxQuoted = 40
)
