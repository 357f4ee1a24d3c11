package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// A param is one field of a body. Fault says why its value cannot be taken, "" for a good one: it counts only when the
// call knows the field, since unknown fields are ignored.
type param struct{ name, text, fault string }

// A form is a body as a flat list of named texts, whatever its encoding was. A name appears once.
type form struct{ params []param }

// text is a field's value, "" for an absent one. Error: malformed.
func (f form) text(name string) (string, error) {
	for _, p := range f.params {
		if p.name != name {
			continue
		}
		if p.fault == "" && !utf8.ValidString(p.text) {
			p.fault = "is not valid UTF-8"
		}
		if p.fault != "" {
			return "", payment.Malformed(name, "%s", p.fault)
		}
		return p.text, nil
	}
	return "", nil
}

// add appends a field within the contract's limits. Errors: malformed, body-too-big.
func (f *form) add(p param) error {
	if len(f.params) == MaxParts {
		return payment.Refuse(payment.Invalid, payment.WordBodyTooBig, "the body has more than %d fields", MaxParts)
	}
	if len(p.text) > MaxPart || len(p.name) > MaxPart {
		e := payment.Refuse(payment.Invalid, payment.WordBodyTooBig, "a field has more than %d bytes", MaxPart)
		e.Field = shown(p.name)
		return e
	}
	for _, q := range f.params {
		if q.name == p.name {
			return payment.Malformed(shown(p.name), "is sent twice: send each field once")
		}
	}
	f.params = append(f.params, p)
	return nil
}

// shown is a name as an error repeats it.
func shown(name string) string {
	return strings.ToValidUTF8(name[:min(len(name), maxName)], "\ufffd")
}

// A bodyReader reads bodies, each within a time, and of the big ones only so many at once.
type bodyReader struct {
	within time.Duration
	big    *web.Slots
}

// form reads a request's body in any of the encodings. Errors: malformed, body-too-big, body-too-slow, too-many-requests,
// unknown-encoding.
func (br bodyReader) form(w http.ResponseWriter, r *http.Request) (form, error) {
	kind, boundary, err := encoding(r.Header)
	if err != nil {
		br.drain(w, r)
		return form{}, err
	}
	body, done, err := br.read(w, r)
	defer done()
	if err != nil {
		return form{}, err
	}
	switch {
	case kind == "application/json":
		return parseJSON([]byte(body))
	case kind == "application/x-www-form-urlencoded":
		return parseURLEncoded(body)
	case boundary != "":
		return parseMultipart(body, boundary)
	}
	return parseRocket(body)
}

// encoding reads the Content-Type. A multipart/form-data without a boundary answers none.
func encoding(h http.Header) (kind, boundary string, err error) {
	refuse := func(format string, args ...any) error {
		e := payment.Refuse(payment.Invalid, payment.WordEncoding, format, args...)
		e.Field = "Content-Type"
		return e
	}
	if h.Get("Content-Encoding") != "" {
		return "", "", refuse("the body must not be compressed: send it without Content-Encoding")
	}
	types := h.Values("Content-Type")
	if len(types) == 0 || types[0] == "" {
		return "", "", refuse("the header Content-Type is missing: %s", encodings)
	}
	if len(types) > 1 || len(types[0]) > MaxContentType {
		return "", "", refuse("the header Content-Type is sent twice or is too long: %s", encodings)
	}
	kind, options, err := mime.ParseMediaType(types[0])
	if err != nil {
		return "", "", refuse("the header Content-Type cannot be read: %s", encodings)
	}
	if c := options["charset"]; c != "" && !strings.EqualFold(c, "utf-8") && !strings.EqualFold(c, "utf8") {
		return "", "", refuse("the body must be UTF-8: send it without a charset or with charset=utf-8")
	}
	switch kind {
	case "application/json", "application/x-www-form-urlencoded", "multipart/form-data":
		return kind, options["boundary"], nil
	}
	return "", "", refuse("a body of this Content-Type is not read: %s", encodings)
}

const encodings = "send multipart/form-data, application/x-www-form-urlencoded or application/json"

// read reads a body of at most MaxBody bytes. done gives back what it holds, also after an error.
func (br bodyReader) read(w http.ResponseWriter, r *http.Request) (body string, done func(), err error) {
	done = func() {}
	refuse := func(word, format string, args ...any) (string, func(), error) {
		w.Header().Set("Connection", "close") // whatever is left of the body is not read
		return "", done, payment.Refuse(payment.Invalid, word, format, args...)
	}
	if r.ContentLength > MaxBody {
		br.drain(w, r)
		return refuse(payment.WordBodyTooBig, "the body has more than %d bytes", MaxBody)
	}
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(br.within)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return "", done, fmt.Errorf("set read deadline: %w", err)
	}
	body, err = readText(r.Body, func() (ok bool) {
		done, ok = br.big.Take(web.Caller(web.PeerAddr(r.Context())))
		return ok
	})
	switch {
	case errors.Is(err, errManyBig):
		w.Header().Set("Retry-After", "1") // the server throws the rest of the body away and keeps the connection
		return "", done, payment.Refuse(payment.Limit, payment.WordTooMany, "too many big bodies at once: send only the parameters of the call")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return refuse(payment.WordSlow, "the body did not arrive within %d seconds: send it at once", int(br.within.Seconds()))
	case err != nil:
		return refuse(payment.WordMalformed, "the body ended early: send it whole")
	case len(body) > MaxBody:
		br.drain(w, r)
		return refuse(payment.WordBodyTooBig, "the body has more than %d bytes", MaxBody)
	}
	// The server's own deadline for reading would end the call while it waits for the shop's answer in test/callback.
	if err := control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return "", done, fmt.Errorf("lift read deadline: %w", err)
	}
	return body, done, nil
}

// drain throws away what is left of a refused body, at most MaxDrain bytes and for as long as a body may take: callers that
// send all of it before they read would find the connection reset instead of the reason. Who expects our word before
// sending (RFC 9110, 10.1.1) has sent nothing yet.
func (br bodyReader) drain(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Expect") != "" {
		return
	}
	err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(br.within))
	if err != nil && !errors.Is(err, http.ErrNotSupported) {
		return // the connection is gone
	}
	if _, err := io.CopyN(io.Discard, r.Body, MaxDrain); err != nil {
		return // at its end, or broken: the answer is the same
	}
}

// errManyBig: no further big body may be read just now.
var errManyBig = errors.New("api: too many big bodies at once")

// readText reads at most one byte more than MaxBody. Before more than BigBody is held, and room for all made, big is asked.
func readText(from io.Reader, big func() bool) (string, error) {
	var chunk [firstRead]byte
	var all strings.Builder
	asked := false
	for all.Len() <= MaxBody {
		n, err := from.Read(chunk[:min(len(chunk), MaxBody+1-all.Len())])
		if !asked && all.Len()+n > BigBody {
			if asked = true; !big() {
				return "", errManyBig
			}
			all.Grow(MaxBody + 1 - all.Len())
		}
		all.Write(chunk[:n])
		if errors.Is(err, io.EOF) {
			return all.String(), nil
		}
		if err != nil {
			return "", err
		}
	}
	return all.String(), nil
}

// parseURLEncoded reads application/x-www-form-urlencoded (WHATWG URL, 5.1), without guessing: a broken percent escape
// is refused.
func parseURLEncoded(body string) (form, error) {
	var f form
	if strings.HasPrefix(strings.TrimLeft(body, white), "{") {
		e := payment.Refuse(payment.Invalid, payment.WordEncoding, "the body looks like JSON but is announced as application/x-www-form-urlencoded: send Content-Type: application/json")
		e.Field = "Content-Type"
		return f, e
	}
	for pair := range strings.SplitSeq(body, "&") {
		if pair == "" {
			continue
		}
		rawName, rawText, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(rawName)
		if err != nil {
			return f, payment.Malformed(shown(rawName), "has a broken percent escape")
		}
		text, err := url.QueryUnescape(rawText)
		if err != nil {
			return f, payment.Malformed(shown(name), "has a broken percent escape")
		}
		if err := f.add(param{name: name, text: text}); err != nil {
			return f, err
		}
	}
	return f, nil
}

// parseJSON reads one flat object. Strings and numbers are values, a number as the text it is; null is a field that is not
// given; anything else is no value.
func parseJSON(body []byte) (form, error) {
	var f form
	bad := payment.Refuse(payment.Invalid, payment.WordMalformed, "the body is not a valid JSON object in UTF-8")
	if !utf8.Valid(body) || !json.Valid(body) {
		return f, bad
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return f, bad
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return f, bad
		}
		p := param{name: fmt.Sprint(name)}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			return f, bad
		}
		p.text, p.fault = jsonText(raw)
		if err := f.add(p); err != nil {
			return f, err
		}
	}
	return f, nil
}

// jsonText is the text of one valid JSON value, or why it has none.
func jsonText(raw json.RawMessage) (text, fault string) {
	switch raw[0] {
	case '"':
		if err := json.Unmarshal(raw, &text); err != nil {
			return "", "must be a text or a number"
		}
		if strings.ContainsRune(text, utf8.RuneError) { // what the decoder makes of half a surrogate pair
			return "", "has characters that are not Unicode"
		}
		return text, ""
	case 'n':
		return "", ""
	case 't', 'f', '{', '[':
		return "", "must be a text or a number"
	}
	return string(raw), ""
}
