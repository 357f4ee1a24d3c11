package web

import (
	"fmt"
	"html/template"
	"strings"

	"rsc.io/qr"
)

// quietZone is the white margin around a QR code, in modules (ISO/IEC 18004: at least 4).
const quietZone = 4

// DrawQR draws text as a QR code of level M: dark on white whatever the colours of the page, for cameras. alt names what it
// holds for those who do not see it.
func DrawQR(text, alt string) (template.HTML, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return "", fmt.Errorf("draw QR code: %w", err)
	}
	size := code.Size + 2*quietZone
	var dark strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			run := 0
			for x+run < code.Size && code.Black(x+run, y) {
				run++
			}
			if run > 0 {
				fmt.Fprintf(&dark, "M%d %dh%dv1h-%dz", x+quietZone, y+quietZone, run, run)
				x += run
			}
		}
	}
	// Everything but alt is made of numbers, and alt is escaped.
	return template.HTML(fmt.Sprintf(`<svg class="qr" viewBox="0 0 %d %d" role="img" aria-label="%s" shape-rendering="crispEdges">`+
		`<path fill="#fff" d="M0 0h%dv%dH0z"/><path fill="#000" d="%s"/></svg>`,
		size, size, template.HTMLEscapeString(alt), size, size, dark.String())), nil
}
