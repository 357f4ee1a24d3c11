package engine

import (
	"bytes"
	"image/png"

	"github.com/pipe-pg/pipe/internal/payment"
)

// checkLook refuses a look that cannot be shown. The logo is decoded whole, so that nothing but a picture is ever served.
func checkLook(l payment.Look) error {
	if err := l.Check(); err != nil || len(l.Logo) == 0 {
		return err
	}
	is, err := png.DecodeConfig(bytes.NewReader(l.Logo))
	if err != nil {
		return payment.Malformed("logo", "is not a PNG")
	}
	if is.Width > MaxLogoSide || is.Height > MaxLogoSide {
		return payment.Malformed("logo", "is larger than %d by %d pixels", MaxLogoSide, MaxLogoSide)
	}
	if _, err := png.Decode(bytes.NewReader(l.Logo)); err != nil {
		return payment.Malformed("logo", "is not a whole PNG")
	}
	return nil
}
