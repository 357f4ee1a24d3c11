package mail_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"mime"
	netmail "net/mail"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/mail"
	"github.com/pipe-pg/pipe/internal/payment"
)

const sender = "파이프 <pipe@house.example>"

func letter(kind payment.MailKind, values map[string]string) payment.Letter {
	return payment.Letter{
		ID: "01J00000000000000000000000", To: "kim@shop.example", Language: payment.Korean, Kind: kind, Values: values, At: time.Unix(1_700_000_000, 0),
	}
}

func open(t *testing.T, p *postOffice, user, password string) *mail.Sender {
	t.Helper()
	s, err := mail.New(mail.Options{URL: p.url(), From: sender, User: user, Password: password, Roots: p.roots})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// read parses a message that arrived.
func read(t *testing.T, data string) (*netmail.Message, string) {
	t.Helper()
	m, err := netmail.ReadMessage(strings.NewReader(data))
	if err != nil {
		t.Fatalf("%v in:\n%s", err, data)
	}
	body, err := io.ReadAll(base64.NewDecoder(base64.StdEncoding, m.Body))
	if err != nil {
		t.Fatal(err)
	}
	return m, string(body)
}

// TestWays: a letter goes by STARTTLS, by TLS from the first byte, and in the open to this machine alone; logged in by PLAIN or
// LOGIN.
func TestWays(t *testing.T) {
	for name, change := range map[string]func(*postOffice){
		"starttls":       func(p *postOffice) { p.starttls, p.auth = true, "PLAIN LOGIN" },
		"starttls login": func(p *postOffice) { p.starttls, p.auth = true, "LOGIN" },
		"tls":            func(p *postOffice) { p.implicit, p.auth = true, "PLAIN" },
		"open":           func(p *postOffice) { p.auth = "PLAIN" },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPostOffice(t, change)
			s := open(t, p, "pipe", "secret")
			if err := s.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			l := letter(payment.MailReset, map[string]string{"link": "https://admin.example/link/abc"})
			if err := s.Send(t.Context(), l); err != nil {
				t.Fatal(err)
			}
			all := p.letters()
			if len(all) != 1 {
				t.Fatalf("%d letters", len(all))
			}
			got := all[0]
			if got.user != "pipe" || !strings.HasPrefix(got.from, "FROM:<pipe@house.example>") || got.to != "TO:<kim@shop.example>" || got.secure == (name == "open") {
				t.Errorf("%+v", got)
			}
			if name != "open" && strings.Contains(p.inTheOpen(), "AUTH") {
				t.Error("logged in in the open")
			}
			m, body := read(t, got.data)
			subject, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject"))
			if err != nil || subject != "새 비밀번호를 정해 주세요" || m.Header.Get("To") != "<kim@shop.example>" ||
				m.Header.Get("Message-Id") != "<01J00000000000000000000000@house.example>" || m.Header.Get("Content-Language") != "ko" {
				t.Errorf("subject %q %v, header %v", subject, err, m.Header)
			}
			if !strings.Contains(body, "\r\nhttps://admin.example/link/abc\r\n") || !strings.Contains(body, "1시간") {
				t.Errorf("body:\n%s", body)
			}
			for line := range strings.SplitSeq(got.data, "\n") {
				if len(line) > 998 {
					t.Errorf("a line of %d bytes", len(line))
				}
			}
		})
	}
}

// TestRefusals: what is for good and what is not, and that no reply does harm.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*postOffice)
		final  bool
		text   string
	}{
		"recipient unknown": {func(p *postOffice) { p.replies = map[string]string{"RCPT": "550 5.1.1 no such user"} }, true, "550 5.1.1 no such user"},
		"mailbox busy":      {func(p *postOffice) { p.replies = map[string]string{"RCPT": "450 4.2.1 later"} }, false, "450"},
		"letter refused":    {func(p *postOffice) { p.replies = map[string]string{".": "554 5.7.1 spam"} }, true, "554"},
		"sender refused":    {func(p *postOffice) { p.replies = map[string]string{"MAIL": "550 5.7.1 not you"} }, false, "550"},
		"greylisted":        {func(p *postOffice) { p.replies = map[string]string{".": "451 later"} }, false, "451"},
		"bad password":      {func(p *postOffice) { p.replies = map[string]string{"AUTH": "535 no"} }, false, "535"},
		"no login":          {func(p *postOffice) { p.auth = "" }, false, "AUTH"},
		"endless hello":     {func(p *postOffice) { p.flood = true }, false, "more than"},
		"long reply":        {func(p *postOffice) { p.replies = map[string]string{"RCPT": "550 " + strings.Repeat("x", 3000)} }, true, "550 xxx"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPostOffice(t, func(p *postOffice) {
				p.starttls, p.auth = true, "PLAIN"
				c.change(p)
			})
			err := open(t, p, "pipe", "secret").Send(t.Context(), letter(payment.MailReset, nil))
			if err == nil || errors.Is(err, payment.ErrUndeliverable) != c.final || !strings.Contains(err.Error(), c.text) || len(err.Error()) > 400 {
				t.Errorf("%v", err)
			}
			if len(p.letters()) != 0 {
				t.Error("it was taken all the same")
			}
		})
	}
}

// TestSilence: a server that says nothing any more costs no longer than the caller waits.
func TestSilence(t *testing.T) {
	for _, verb := range []string{"EHLO", "MAIL", "QUIT"} {
		p := newPostOffice(t, func(p *postOffice) { p.stall = verb })
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		began := time.Now()
		err := open(t, p, "", "").Send(ctx, letter(payment.MailReset, nil))
		cancel()
		if (err == nil) != (verb == "QUIT") || time.Since(began) > 10*time.Second {
			t.Errorf("silent after %s: %v after %s", verb, err, time.Since(began))
		}
	}
}

// TestCutOut: where STARTTLS is missing, as if somebody on the way had cut it out, nothing is sent.
func TestCutOut(t *testing.T) {
	p := newPostOffice(t, func(p *postOffice) { p.auth = "PLAIN" })
	s := open(t, p, "pipe", "secret")
	mail.Faraway(s)
	if err := s.Send(t.Context(), letter(payment.MailReset, nil)); err == nil || !strings.Contains(err.Error(), "STARTTLS") {
		t.Errorf("%v", err)
	}
	if len(p.letters()) != 0 || strings.Contains(p.inTheOpen(), "AUTH") {
		t.Error("sent in the open")
	}
}

// TestStrangersCertificate: a server whose certificate nobody vouches for gets nothing.
func TestStrangersCertificate(t *testing.T) {
	for _, implicit := range []bool{true, false} {
		p := newPostOffice(t, func(p *postOffice) { p.implicit, p.starttls, p.auth = implicit, true, "PLAIN" })
		s, err := mail.New(mail.Options{URL: p.url(), From: sender, User: "pipe", Password: "secret", Roots: newPostOffice(t, nil).roots})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Send(t.Context(), letter(payment.MailReset, nil)); err == nil || !strings.Contains(err.Error(), "certificate") {
			t.Errorf("%v", err)
		}
		if len(p.letters()) != 0 || strings.Contains(p.inTheOpen(), "AUTH") {
			t.Error("the stranger got something")
		}
	}
}

// TestInjection: nothing that people type becomes a header, a command or a link.
func TestInjection(t *testing.T) {
	p := newPostOffice(t, nil)
	s := open(t, p, "", "")
	evil := "x\r\nBcc: victim@x.example\r\n\r\n.\r\nMAIL FROM:<evil@x.example>\r\nhttps://evil.example \u202e\u0000"
	for _, kind := range []payment.MailKind{payment.MailInvite, payment.MailChange, payment.MailNotice, payment.MailSecurity} {
		err := s.Send(t.Context(), letter(kind, map[string]string{
			"merchant": evil, "by": evil, "subject": evil, "what": evil, "ip": evil, "link": "https://admin.example/link/abc",
		}))
		if err != nil {
			t.Fatal(err)
		}
	}
	all := p.letters()
	if len(all) != 4 {
		t.Fatalf("%d letters", len(all))
	}
	for _, l := range all {
		m, body := read(t, l.data)
		if len(m.Header) != 10 || m.Header.Get("Bcc") != "" || strings.Contains(body, "https://evil") || strings.ContainsAny(body, "\u202e\u0000") {
			t.Errorf("header %v, body:\n%s", m.Header, body)
		}
		for line := range strings.SplitSeq(body, "\r\n") {
			if line == "." || strings.HasPrefix(line, "MAIL") || strings.HasPrefix(line, "Bcc") {
				t.Errorf("line %q", line)
			}
		}
	}
	for _, to := range []string{"a@b.example>\r\nRCPT TO:<victim@x.example", "a@b.example\nX: y"} {
		l := letter(payment.MailReset, nil)
		l.To = to
		if err := s.Send(t.Context(), l); err == nil {
			t.Errorf("sent to %q", to)
		}
	}
	if strings.Contains(p.inTheOpen(), "TO:<victim") {
		t.Error("a second recipient")
	}
}

// TestOptions: what cannot be right is refused at the start.
func TestOptions(t *testing.T) {
	for _, o := range []mail.Options{
		{}, {URL: "mail.example:25", From: sender}, {URL: "http://mail.example", From: sender}, {URL: "smtp://u:p@mail.example", From: sender},
		{URL: "smtp://mail.example", From: "nobody"}, {URL: "smtp://mail.example", From: sender, User: "u"}, {URL: "smtp://mail.example/x", From: sender},
	} {
		if _, err := mail.New(o); err == nil {
			t.Errorf("%+v is taken", o)
		}
	}
	if _, err := mail.New(mail.Options{URL: "smtps://mail.example", From: sender}); err != nil {
		t.Error(err)
	}
}

// TestTexts: every kind of letter has texts in both languages, with the same names in them, and no two Korean ones are the same.
func TestTexts(t *testing.T) {
	p := newPostOffice(t, nil)
	s := open(t, p, "", "")
	kinds := []payment.MailKind{
		payment.MailSignUp, payment.MailKnown, payment.MailInvite, payment.MailReset, payment.MailEmail, payment.MailSecurity, payment.MailChange, payment.MailNotice,
		payment.MailTaken, payment.MailUndo, payment.MailVeto,
	}
	seen := map[string]bool{}
	for _, kind := range kinds {
		for _, language := range []payment.Language{payment.English, payment.Korean} {
			l := letter(kind, map[string]string{"link": "https://admin.example/x", "what": "totp.on", "merchant": "M", "by": "B", "subject": "S"})
			l.Language = language
			if err := s.Send(t.Context(), l); err != nil {
				t.Fatal(err)
			}
			got := p.letters()
			_, body := read(t, got[len(got)-1].data)
			if seen[body] || regexp.MustCompile(`[{}⟦]|totp\.on`).MatchString(body) {
				t.Errorf("%s in %s:\n%s", kind, language, body)
			}
			seen[body] = true
		}
	}
	if err := s.Send(t.Context(), letter("nonsense", nil)); !errors.Is(err, payment.ErrUndeliverable) {
		t.Errorf("an unknown letter: %v", err)
	}
	var keys [2][]string
	for i, file := range []string{"text/letter.en.json", "text/letter.ko.json"} {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(b), "\n") {
			if key, text, ok := strings.Cut(line, `": "`); ok {
				names := regexp.MustCompile(`\{[a-z]+\}`).FindAllString(text, -1)
				keys[i] = append(keys[i], key+strings.Repeat("|", len(names)))
			}
		}
	}
	if strings.Join(keys[0], "\n") != strings.Join(keys[1], "\n") {
		t.Error("the two files do not say the same")
	}
}
