package engine

import (
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/pipe-pg/pipe/internal/payment"
)

// originOf is the scheme, host and port of a URL that was checked when it was taken.
func originOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + withPort(u)
}

func withPort(u *url.URL) string {
	if u.Port() != "" {
		return strings.ToLower(u.Host)
	}
	if u.Scheme == "http" {
		return strings.ToLower(u.Host) + ":80"
	}
	return strings.ToLower(u.Host) + ":443"
}

// shopURL checks a URL of the shop's: https (http where the operator allows it), the origin equal to a registered web
// service URL and the path under it on a segment boundary. Userinfo, fragments, backslashes, control characters and dot
// segments are refused, so that what is compared is what will be fetched.
func (d *Desk) shopURL(app payment.Application, field, text string) (string, error) {
	u, err := parseURL(field, text, d.InsecureURLs)
	if err != nil {
		return "", err
	}
	for _, registered := range app.Origins {
		if under(u, registered) {
			return u.String(), nil
		}
	}
	e := payment.Refuse(payment.Forbidden, payment.WordURL,
		"this URL is not under a web service URL registered for the application: register its origin, then call again")
	e.Field = field
	return "", e
}

// CheckOrigin reads a web service URL for registration: scheme, host, and optionally a port and a path, without query. It
// answers its normal form.
func CheckOrigin(text string, insecure bool) (string, error) {
	u, err := parseURL("web_service_url", text, insecure)
	if err != nil {
		return "", err
	}
	if u.RawQuery != "" || u.ForceQuery {
		return "", payment.Malformed("web_service_url", "must have no query")
	}
	u.Path = strings.TrimRight(u.Path, "/")
	return u.String(), nil
}

func parseURL(field, text string, insecure bool) (*url.URL, error) {
	switch {
	case text == "":
		return nil, payment.Malformed(field, "is missing: give the whole URL, like https://shop.example/callback")
	case utf8.RuneCountInString(text) > payment.MaxURL:
		return nil, payment.Malformed(field, "has more than %d characters", payment.MaxURL)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' || r > 0x7e }):
		return nil, payment.Malformed(field, "has white space, control characters, backslashes or characters that are not ASCII: encode them")
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Opaque != "" || u.Hostname() == "":
		return nil, payment.Malformed(field, "is not a whole URL like https://shop.example/callback")
	case u.Scheme != "https" && !(insecure && u.Scheme == "http"):
		return nil, payment.Malformed(field, "must begin with https://")
	case u.User != nil:
		return nil, payment.Malformed(field, "must not contain a user name or password")
	case u.Fragment != "" || strings.Contains(text, "#"):
		return nil, payment.Malformed(field, "must not contain a fragment (#)")
	case dotted(u.EscapedPath()):
		return nil, payment.Malformed(field, "must not contain . or .. segments, nor encoded slashes")
	}
	u.Host = strings.ToLower(u.Host)
	return u, nil
}

// dotted tells whether a path has segments that servers resolve in different ways.
func dotted(path string) bool {
	low := strings.ToLower(path)
	if strings.Contains(low, "%2f") || strings.Contains(low, "%5c") || strings.Contains(path, "//") {
		return true
	}
	for _, s := range strings.Split(strings.ReplaceAll(low, "%2e", "."), "/") {
		if s == "." || s == ".." {
			return true
		}
	}
	return false
}

// under tells whether a URL has a registered origin and a path under it.
func under(u *url.URL, registered string) bool {
	r, err := url.Parse(registered)
	if err != nil || r.Scheme != u.Scheme || withPort(r) != withPort(u) {
		return false
	}
	base := strings.TrimRight(r.EscapedPath(), "/")
	path := u.EscapedPath()
	return path == base || strings.HasPrefix(path, base+"/") || base == ""
}
