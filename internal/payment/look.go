package payment

import (
	"regexp"
	"strings"
)

// A Look is how an application's payment page looks, and whom its payers can ask. The zero value is PIPE's own look.
type Look struct {
	Color   string // "#rrggbb" in lower case; "": PIPE's own. What is drawn with it is made readable.
	Logo    []byte // a PNG of at most MaxLogo bytes; nil: none
	Support string // an e-mail address, or an https URL; "": none
}

var (
	colorText = regexp.MustCompile(`^#[0-9a-f]{6}$`)
	mailText  = regexp.MustCompile(`^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`) // as HTML's e-mail field
	siteText  = regexp.MustCompile(`^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?([/?#][!-~]*)?$`)
)

// Check refuses a look that cannot be shown. That the logo is a PNG is for the caller to find out.
func (l Look) Check() error {
	if l.Color != "" && !colorText.MatchString(l.Color) {
		return Malformed("color", "must be like #1a48c6")
	}
	if len(l.Logo) > MaxLogo {
		return Malformed("logo", "has more than %d bytes", MaxLogo)
	}
	if l.Support != "" && (len(l.Support) > MaxSupport || !mailText.MatchString(l.Support) && !siteText.MatchString(l.Support)) {
		return Malformed("support", "must be an e-mail address or an https URL of at most %d characters", MaxSupport)
	}
	return nil
}

// SupportIsMail tells an e-mail address from a URL.
func (l Look) SupportIsMail() bool { return l.Support != "" && !strings.Contains(l.Support, "://") }
