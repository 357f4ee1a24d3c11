package api

import (
	"mime"
	"net/textproto"
	"strings"

	"github.com/pipe-pg/pipe/internal/payment"
)

// parseMultipart reads multipart/form-data (RFC 7578) from a body that is bounded already, in one pass and without copies.
// A part with a filename is a text like any other. Line ends are CRLF, or LF where the first boundary's line ends so.
func parseMultipart(body, boundary string) (form, error) {
	var f form
	bad := payment.Refuse(payment.Invalid, payment.WordMalformed,
		"the body is not valid multipart/form-data: let your HTTP library write it and its boundary")
	rest, eol, ok := openMultipart(body, "--"+boundary)
	if !ok {
		return f, bad
	}
	for {
		var part string
		if part, rest, ok = strings.Cut(rest, eol+"--"+boundary); !ok {
			return f, bad
		}
		p, err := parsePart(part, eol)
		if err != nil {
			return f, err
		}
		if err := f.add(p); err != nil {
			return f, err
		}
		if strings.HasPrefix(rest, "--") {
			return f, nil
		}
		padding, next, ok := strings.Cut(rest, eol)
		if !ok || strings.Trim(padding, " \t") != "" {
			return f, bad
		}
		rest = next
	}
}

// openMultipart skips what comes before the first boundary and tells how lines end.
func openMultipart(body, delimiter string) (rest, eol string, ok bool) {
	if !strings.HasPrefix(body, delimiter) {
		_, after, found := strings.Cut(body, "\n"+delimiter)
		if !found {
			return "", "", false
		}
		body = delimiter + after
	}
	line, rest, ok := strings.Cut(body[len(delimiter):], "\n")
	if !ok {
		return "", "", false
	}
	eol = "\n"
	if strings.HasSuffix(line, "\r") {
		line, eol = line[:len(line)-1], "\r\n"
	}
	return rest, eol, strings.Trim(line, " \t") == ""
}

// parsePart reads the header lines of a part and takes the rest as its text.
func parsePart(part, eol string) (param, error) {
	head, text, ok := strings.Cut(part, eol+eol)
	if !ok {
		return param{}, payment.Refuse(payment.Invalid, payment.WordMalformed, "a part of the body has no empty line behind its header")
	}
	if len(head) > MaxPartHeader {
		return param{}, payment.Refuse(payment.Invalid, payment.WordBodyTooBig, "the header of a part has more than %d bytes", MaxPartHeader)
	}
	p := param{text: text}
	named := false
	for line := range strings.SplitSeq(head, eol) {
		key, value, ok := strings.Cut(line, ":")
		if !ok || strings.Trim(key, " \t") != key {
			return p, payment.Refuse(payment.Invalid, payment.WordMalformed, "a part of the body has a header line that cannot be read")
		}
		switch textproto.CanonicalMIMEHeaderKey(key) {
		case "Content-Disposition":
			kind, options, err := mime.ParseMediaType(value)
			if err != nil || kind != "form-data" || options["name"] == "" || named {
				return p, payment.Refuse(payment.Invalid, payment.WordMalformed, "a part of the body has no readable name in Content-Disposition")
			}
			p.name, named = options["name"], true
		case "Content-Transfer-Encoding":
			switch strings.ToLower(strings.TrimSpace(value)) {
			case "7bit", "8bit", "binary":
			default:
				p.fault = "has a Content-Transfer-Encoding that is not read: send the text as it is"
			}
		}
	}
	if !named {
		return p, payment.Refuse(payment.Invalid, payment.WordMalformed, "a part of the body has no readable name in Content-Disposition")
	}
	return p, nil
}
