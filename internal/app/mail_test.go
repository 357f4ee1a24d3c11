package app

import (
	"net"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/chain"
)

// TestMailSettings: what cannot send letters is refused at the start, not when somebody waits for one.
func TestMailSettings(t *testing.T) {
	for text, want := range map[string]string{
		"":                        "",
		"PIPE_SMTP=mail.example":  "PIPE_SMTP",
		"PIPE_SMTP_FROM=a@b.exam": "PIPE_SMTP is not set",
		"PIPE_SMTP=smtp://m.exam": "sender",
		"PIPE_SMTP_PASSWORD=x":    "PIPE_SMTP is not set",
		"PIPE_SMTP=smtp://m.exam PIPE_SMTP_FROM=a@b.exam":                     "",
		"PIPE_SMTP=smtp://m.exam PIPE_SMTP_FROM=a@b.exam PIPE_SMTP_USER=a":    "belong together",
		"PIPE_SMTP=smtps://m.exam:465 PIPE_SMTP_FROM=a@b.exam PIPE_SMTP_X=no": "no such setting",
	} {
		_, err := LoadConfig("", strings.Fields(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// TestDoctorMail: the doctor says whether letters can be sent.
func TestDoctorMail(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // closed at once, so that nobody answers there
	if err != nil {
		t.Fatal(err)
	}
	dead := "smtp://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		config Config
		want   []chain.Level
	}{
		{Config{}, nil},
		{Config{AdminListen: ":1"}, []chain.Level{chain.Warn}},
		{Config{SMTP: dead, SMTPFrom: "a@b.example"}, []chain.Level{chain.Bad}},
	} {
		d := &doctor{config: c.config}
		d.letters(t.Context())
		if len(d.findings) != len(c.want) || len(c.want) == 1 && (d.findings[0].Level != c.want[0] || d.findings[0].Cure == "") {
			t.Errorf("%+v: %+v", c.config, d.findings)
		}
	}
}
