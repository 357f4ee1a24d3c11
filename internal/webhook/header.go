package webhook

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode"
)

// headerLines are headers as people read them, a line each in the order of their names, at most MaxKeptHeader bytes. What could be used
// by who reads it is left out: signatures and cookies.
func headerLines(h http.Header) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			switch http.CanonicalHeaderKey(name) {
			case "Set-Cookie", "Authorization", "Proxy-Authorization":
				value = "…"
			case http.CanonicalHeaderKey(HeaderSignature):
				value = "v1,…"
			}
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(oneLine(name) + ": " + oneLine(value))
		}
	}
	return clip(b.String(), MaxKeptHeader-len("…"))
}

// oneLine is a text without what breaks lines, or databases.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\ufffd"))
}
