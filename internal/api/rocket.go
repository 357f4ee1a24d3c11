package api

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/pipe-pg/pipe/internal/payment"
)

// white is the white space that a shell's paste leaves in a body.
const white = " \t\r\n"

// placeholder is what the guide prints as the value of its own refund_address, without telling to replace it.
const placeholder = "refund_address"

// parseRocket reads the body that the guide's curl samples send: {"api_key"=>KEY,"price"=>12.34,…}, one flat object of
// quoted names, hash rockets, and values that are quoted or bare. A bare value goes on until the next name or the closing
// brace, so that a URL may hold commas and braces; one that holds a double quote, a rocket or a line break is refused, as
// it most likely lost its comma. A refund_address of "refund_address", as printed, is not given.
func parseRocket(body string) (form, error) {
	var f form
	text := strings.Trim(body, white)
	if !strings.HasPrefix(text, "{") {
		e := payment.Refuse(payment.Invalid, payment.WordEncoding, "the header Content-Type names multipart/form-data without a boundary: "+
			"let your HTTP library set the header with the boundary, or send the body as the guide prints it")
		e.Field = "Content-Type"
		return f, e
	}
	if !strings.HasSuffix(text, "}") || len(text) < 2 {
		return f, rocketFault("the body has no closing brace")
	}
	rest := skipWhite(text[1 : len(text)-1])
	for rest != "" {
		var p param
		var err error
		if p, rest, err = rocketPair(rest); err != nil {
			return f, err
		}
		if p.name == "refund_address" && p.text == placeholder {
			p.text = ""
		}
		if err := f.add(p); err != nil {
			return f, err
		}
		if rest == "" {
			return f, nil
		}
		if rest = skipWhite(rest[1:]); rest == "" {
			return f, rocketFault("the body has a comma with nothing behind it")
		}
	}
	return f, nil
}

// rocketPair reads one name, rocket and value. What is left is empty or begins with a comma.
func rocketPair(text string) (p param, rest string, err error) {
	if text[0] != '"' && text[0] != '\'' {
		return p, "", rocketFault("a field's name is not in quotes")
	}
	if p.name, rest, err = unquote(text); err != nil {
		return p, "", err
	}
	rest = skipWhite(rest)
	if p.name == "" || !strings.HasPrefix(rest, "=>") {
		return p, "", payment.Malformed(shown(p.name), "must be followed by => and its value")
	}
	rest = skipWhite(rest[len("=>"):])
	if rest != "" && (rest[0] == '"' || rest[0] == '\'') {
		if p.text, rest, err = unquote(rest); err != nil {
			return p, "", err
		}
		if rest = skipWhite(rest); rest != "" && rest[0] != ',' {
			return p, "", payment.Malformed(shown(p.name), "must be followed by a comma or the closing brace")
		}
		return p, rest, nil
	}
	p.text, rest = bare(rest)
	switch {
	case p.text == "":
		return p, "", payment.Malformed(shown(p.name), "has no value behind =>")
	case strings.ContainsAny(p.text, "\"\r\n") || strings.Contains(p.text, "=>"):
		return p, "", payment.Malformed(shown(p.name), "must be in quotes, or a comma behind it is missing")
	}
	return p, rest, nil
}

// bare cuts a value without quotes off.
func bare(text string) (value, rest string) {
	for at := 0; ; {
		n := strings.IndexByte(text[at:], ',')
		if n < 0 {
			return trimWhite(text), ""
		}
		at += n
		if isName(skipWhite(text[at+1:])) || skipWhite(text[at+1:]) == "" {
			return trimWhite(text[:at]), text[at:]
		}
		at++
	}
}

// isName tells whether a quoted name and a rocket come next. Names are read no further than MaxPart.
func isName(text string) bool {
	if text == "" || text[0] != '"' && text[0] != '\'' {
		return false
	}
	n := strings.IndexByte(text[1:min(len(text), maxName+1)], text[0])
	return n > 0 && strings.HasPrefix(skipWhite(text[n+2:]), "=>")
}

// unquote reads a quoted text. In double quotes the escapes of JSON count, in single quotes only those of the quote and of
// the backslash.
func unquote(text string) (value, rest string, err error) {
	quote := text[0]
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == quote:
			return b.String(), text[i+1:], nil
		case c == '\\' && quote == '"':
			n := escape(&b, text[i+1:])
			if n == 0 {
				return "", "", rocketFault("the body has an unknown escape behind a backslash")
			}
			i += n
		case c == '\\' && i+1 < len(text) && (text[i+1] == '\'' || text[i+1] == '\\'):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", rocketFault("the body has a quote that does not end")
}

// escape writes what a JSON escape stands for, without its backslash, and tells its length; 0: there is no such escape.
func escape(b *strings.Builder, text string) int {
	if text == "" {
		return 0
	}
	if n := strings.IndexByte(`"\/'bfnrt`, text[0]); n >= 0 {
		b.WriteByte("\"\\/'\b\f\n\r\t"[n])
		return 1
	}
	if text[0] != 'u' {
		return 0
	}
	r := hex4(text[1:])
	if utf16.IsSurrogate(r) && len(text) > 7 && text[5] == '\\' && text[6] == 'u' {
		if pair := utf16.DecodeRune(r, hex4(text[7:])); pair != utf8.RuneError {
			b.WriteRune(pair)
			return 11
		}
	}
	if r < 0 || utf16.IsSurrogate(r) {
		return 0
	}
	b.WriteRune(r)
	return 5
}

// hex4 reads four hex digits; -1: they are none.
func hex4(text string) rune {
	if len(text) < 4 {
		return -1
	}
	n, err := strconv.ParseUint(text[:4], 16, 16)
	if err != nil {
		return -1
	}
	return rune(n)
}

// skipWhite skips white space, and backslashes that only continue a line.
func skipWhite(text string) string {
	for {
		text = strings.TrimLeft(text, white)
		switch {
		case strings.HasPrefix(text, "\\\n"):
			text = text[2:]
		case strings.HasPrefix(text, "\\\r\n"):
			text = text[3:]
		default:
			return text
		}
	}
}

// trimWhite takes white space off the end, and backslashes that only continue a line.
func trimWhite(text string) string {
	for {
		short := strings.TrimRight(text, white)
		if cut, ok := strings.CutSuffix(short, "\\"); ok && strings.HasPrefix(strings.TrimLeft(text[len(short):], "\r"), "\n") {
			text = cut
			continue
		}
		return short
	}
}

func rocketFault(format string, args ...any) error {
	e := payment.Refuse(payment.Invalid, payment.WordMalformed, format, args...)
	e.Message += ": write {\"name\"=>\"value\",…}, or send multipart/form-data with a boundary, a form or JSON"
	return e
}
