package web

import (
	"net/http"
	"net/url"
	"strings"
)

// Secure sets the headers that every page has. ancestors are the origins that may frame it; none: nobody may. Scripts and
// styles come from our own origin only, and no text becomes script (Trusted Types).
func Secure(w http.ResponseWriter, ancestors []string) {
	h := w.Header()
	frame := "'none'"
	if len(ancestors) > 0 {
		frame = strings.Join(ancestors, " ")
	} else {
		h.Set("X-Frame-Options", "DENY")
	}
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "+
		"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors "+frame+
		"; require-trusted-types-for 'script'")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	// Other origins learn nothing of the URL; our own forms still send their Origin.
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Robots-Tag", "noindex, nofollow")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()")
}

// Origin is the origin of a URL as browsers write it: lower case, without the scheme's own port. It is "" for anything
// but an http or https URL with a host.
func Origin(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	host := strings.ToLower(u.Host)
	if u.Scheme == "https" {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	if strings.ContainsAny(host, " ;,'\"*") { // never widens a policy, whatever was registered
		return ""
	}
	return u.Scheme + "://" + host
}

// Origins are the origins of URLs, each once, those without one left out.
func Origins(urls []string) []string {
	var all []string
	seen := map[string]bool{}
	for _, u := range urls {
		if o := Origin(u); o != "" && !seen[o] {
			seen[o] = true
			all = append(all, o)
		}
	}
	return all
}
