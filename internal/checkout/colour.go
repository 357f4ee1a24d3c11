package checkout

import (
	"fmt"
	"math"
	"strconv"
)

// A colour is red, green and blue, 0 to 255.
type colour [3]uint8

// The surfaces of the style sheet that a shop's colour is drawn on, and the contrasts that it must have there: text and
// addresses (WCAG 2.2, 1.4.6), and the edge of a control (1.4.11).
var (
	white, black       = colour{255, 255, 255}, colour{}
	lightCard, darkBox = white, colour{0x18, 0x1c, 0x23}
)

const (
	textContrast = 7.0
	edgeContrast = 3.0
)

// parseColour reads #rrggbb.
func parseColour(text string) (c colour, ok bool) {
	if len(text) != 7 || text[0] != '#' {
		return c, false
	}
	n, err := strconv.ParseUint(text[1:], 16, 24)
	return colour{uint8(n >> 16), uint8(n >> 8), uint8(n)}, err == nil
}

func (c colour) String() string { return fmt.Sprintf("#%02x%02x%02x", c[0], c[1], c[2]) }

// luminance is the relative luminance of WCAG 2.2.
func (c colour) luminance() float64 {
	part := func(v uint8) float64 {
		s := float64(v) / 255
		if s <= 0.04045 {
			return s / 12.92
		}
		return math.Pow((s+0.055)/1.055, 2.4)
	}
	return 0.2126*part(c[0]) + 0.7152*part(c[1]) + 0.0722*part(c[2])
}

// contrast is the contrast ratio of WCAG 2.2, 1 to 21.
func (c colour) contrast(d colour) float64 {
	a, b := c.luminance(), d.luminance()
	return (max(a, b) + 0.05) / (min(a, b) + 0.05)
}

// towards mixes in so many 64ths of another colour.
func (c colour) towards(d colour, n int) (mixed colour) {
	for i := range c {
		mixed[i] = uint8((int(c[i])*(64-n) + int(d[i])*n) / 64)
	}
	return mixed
}

// readable is the colour, mixed with as little of end as gives it a contrast on a surface.
func (c colour) readable(on, end colour, ratio float64) colour {
	for n := range 64 {
		if mixed := c.towards(end, n); mixed.contrast(on) >= ratio {
			return mixed
		}
	}
	return end
}

// ink is black or white, whichever is read better on the colour: its contrast is never below 4.5.
func (c colour) ink() colour {
	if c.contrast(white) >= c.contrast(black) {
		return white
	}
	return black
}

// tint is the part of the style sheet that a shop's colour changes: its buttons have the colour itself, with black or white on
// it; links, marks and edges have a shade of it that can be read on light and on dark.
func tint(c colour) string {
	theme := func(card, end colour) string {
		return fmt.Sprintf(":root{--brand:%s;--on:%s;--edge:%s;--accent:%s}", c, c.ink(), c.readable(card, end, edgeContrast), c.readable(card, end, textContrast))
	}
	return "\n" + theme(lightCard, black) + "\n@media (prefers-color-scheme:dark){" + theme(darkBox, white) + "}\n"
}
