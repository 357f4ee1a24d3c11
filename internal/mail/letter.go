package mail

import (
	"bytes"
	"embed"
	"encoding/base64"
	"fmt"
	"io/fs"
	"mime"
	netmail "net/mail"
	"strings"
	"unicode"

	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

//go:embed text/*.json
var textFiles embed.FS

func readTexts() (web.Texts, error) {
	files, err := fs.Sub(textFiles, "text")
	if err != nil {
		return web.Texts{}, fmt.Errorf("read letters: %w", err)
	}
	return web.ReadTexts(files)
}

// linkValue is the one value that leads somewhere; it is ours.
const linkValue = "link"

// clean makes a value harmless that people typed: one line of plain text in which mail programs find no link.
func clean(name, text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsGraphic(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if name != linkValue {
		text = strings.ReplaceAll(text, "://", ": //")
	}
	return cut(text, MaxValue)
}

// cut shortens a text to so many characters.
func cut(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}

// compose writes a letter as a message of the Internet (RFC 5322): plain text, so that every program shows it and nothing in it
// is markup.
func compose(texts web.Texts, from netmail.Address, l payment.Letter) ([]byte, error) {
	say := texts.In(l.Language)
	subjectKey, bodyKey := "letter."+string(l.Kind)+".subject", "letter."+string(l.Kind)
	if !say.Has(subjectKey) || !say.Has(bodyKey) {
		return nil, fmt.Errorf("write letter: there is no text for %q: %w", l.Kind, payment.ErrUndeliverable)
	}
	pairs := []any{"to", clean("to", l.To), "from", from.Name}
	for _, name := range []string{linkValue, "merchant", "by", "subject", "ip"} {
		value := clean(name, l.Values[name])
		if value == "" {
			value = "–"
		}
		pairs = append(pairs, name, value)
	}
	what := clean("what", l.Values["what"])
	if say.Has("what." + what) {
		what = say.Say("what." + what)
	}
	pairs = append(pairs, "what", what)
	var b bytes.Buffer
	header := func(name, value string) { fmt.Fprintf(&b, "%s: %s\r\n", name, value) }
	header("From", from.String())
	header("To", "<"+clean("to", l.To)+">")
	header("Subject", mime.BEncoding.Encode("utf-8", cut(say.Say(subjectKey, pairs...), MaxSubject)))
	header("Date", l.At.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700"))
	header("Message-ID", "<"+string(l.ID)+"@"+domain(from.Address)+">") // the same at each try, so that programs show it once
	header("MIME-Version", "1.0")
	header("Content-Type", "text/plain; charset=utf-8")
	header("Content-Transfer-Encoding", "base64")
	header("Content-Language", say.Tag())
	header("Auto-Submitted", "auto-generated") // RFC 3834: nobody's absence answers
	b.WriteString("\r\n")
	body := strings.ReplaceAll(say.Say(bodyKey, pairs...)+"\n\n"+say.Say("letter.foot", pairs...)+"\n", "\n", "\r\n")
	text := base64.StdEncoding.EncodeToString([]byte(body))
	for len(text) > 0 {
		n := min(lineLength, len(text))
		b.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	return b.Bytes(), nil
}

func domain(address string) string { return address[strings.LastIndex(address, "@")+1:] }
