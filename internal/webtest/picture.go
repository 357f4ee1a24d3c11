package webtest

import (
	"bytes"
	"cmp"
	"context"
	"image"
	"image/color"
	"image/png"
	"os"
	"slices"
	"testing"

	"github.com/chromedp/chromedp"
)

// colours is how many colours a picture of the documents keeps, atLeast how many it keeps even where they are near each other.
const (
	colours = 40
	atLeast = 6
)

// Keep writes a picture of the whole page.
func Keep(t *testing.T, ctx context.Context, path string) {
	t.Helper()
	keep(t, ctx, path, chromedp.FullScreenshot(100))
}

// KeepWindow writes a picture of what the window shows.
func KeepWindow(t *testing.T, ctx context.Context, path string) {
	t.Helper()
	keep(t, ctx, path, chromedp.CaptureScreenshot())
}

func keep(t *testing.T, ctx context.Context, path string, take chromedp.Action[[]byte]) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	b, err := chromedp.Run(ctx, take)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b, 0o644); err != nil { //nolint:gosec // a picture of a document
		t.Fatal(err)
	}
}

// Shrink rewrites a picture with few colours.
func Shrink(t *testing.T, path string) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	full, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	small := image.NewPaletted(full.Bounds(), palette(full))
	near := map[color.Color]uint8{}
	for y := full.Bounds().Min.Y; y < full.Bounds().Max.Y; y++ {
		for x := full.Bounds().Min.X; x < full.Bounds().Max.X; x++ {
			c := full.At(x, y)
			n, ok := near[c]
			if !ok {
				n = uint8(small.Palette.Index(c))
				near[c] = n
			}
			small.SetColorIndex(x, y, n)
		}
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, small); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, out.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// palette is the most frequent colours of a picture that differ enough from each other.
func palette(p image.Image) color.Palette {
	count := map[color.RGBA]int{}
	for y := p.Bounds().Min.Y; y < p.Bounds().Max.Y; y++ {
		for x := p.Bounds().Min.X; x < p.Bounds().Max.X; x++ {
			r, g, b, _ := p.At(x, y).RGBA()
			count[color.RGBA{uint8(r >> 8), uint8(g >> 8), uint8(b >> 8), 255}]++
		}
	}
	all := make([]color.RGBA, 0, len(count))
	for c := range count {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b color.RGBA) int {
		return cmp.Or(count[b]-count[a], int(a.R)-int(b.R), int(a.G)-int(b.G), int(a.B)-int(b.B))
	})
	var kept color.Palette
	far := func(a, b uint8) int { d := int(a) - int(b); return d * d }
	for _, c := range all {
		near := slices.ContainsFunc(kept, func(k color.Color) bool {
			o, ok := k.(color.RGBA)
			return ok && far(c.R, o.R)+far(c.G, o.G)+far(c.B, o.B) < 150
		})
		if !near || len(kept) < atLeast {
			if kept = append(kept, c); len(kept) == colours {
				break
			}
		}
	}
	return kept
}
