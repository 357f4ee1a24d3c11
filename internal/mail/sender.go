package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	netmail "net/mail"
	"net/netip"
	"net/smtp"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// Options are how letters leave.
type Options struct {
	// URL is smtp://host:port, where STARTTLS is a must unless the host is this machine, or smtps://host:port.
	URL string
	// From is the sender, like PIPE <pipe@shop.example>.
	From           string
	User, Password string         // "": the server asks for none
	Roots          *x509.CertPool // nil: the system's
}

// A Sender hands letters to one SMTP server. It is safe for concurrent use.
type Sender struct {
	from     netmail.Address
	host     string // of the certificate
	address  string // host and port
	implicit bool   // TLS from the first byte (RFC 8314)
	plain    bool   // TLS may be missing: this very machine
	user     string
	password string
	roots    *x509.CertPool
	texts    web.Texts
}

// New makes a Sender; it dials nothing. Errors say which option is wrong.
func New(o Options) (*Sender, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" || u.User != nil || strings.Trim(u.Path, "/") != "" ||
		u.RawQuery != "" {
		return nil, errors.New("the mail server is none: write smtp://host:587 or smtps://host:465")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"smtp": "587", "smtps": "465"}[u.Scheme]
	}
	from, err := netmail.ParseAddress(o.From)
	if err != nil || strings.ContainsAny(from.Name+from.Address, "\r\n") {
		return nil, errors.New("the sender is none: write an address like PIPE <pipe@shop.example>")
	}
	if (o.User == "") != (o.Password == "") {
		return nil, errors.New("user and password of the mail server belong together")
	}
	s := &Sender{
		from: *from, host: u.Hostname(), address: net.JoinHostPort(u.Hostname(), port), implicit: u.Scheme == "smtps", plain: loopback(u.Hostname()),
		user: o.User, password: o.Password, roots: o.Roots,
	}
	s.texts, err = readTexts()
	return s, err
}

func loopback(host string) bool {
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}

// Send hands over one letter. It is handed over once the server took it; after an error it may have been. An error that is
// payment.ErrUndeliverable is for good.
func (s *Sender) Send(ctx context.Context, l payment.Letter) error {
	message, err := compose(s.texts, s.from, l)
	if err != nil {
		return err
	}
	return s.talk(ctx, func(c *smtp.Client) error {
		if ok, _ := c.Extension("SMTPUTF8"); !ok && !ascii(l.To) {
			return fmt.Errorf("address letter: the server knows ASCII only: %w", payment.ErrUndeliverable)
		}
		if err := c.Mail(s.from.Address); err != nil {
			return said("name sender", err, false)
		}
		if err := c.Rcpt(l.To); err != nil {
			return said("name recipient", err, true)
		}
		w, err := c.Data()
		if err != nil {
			return said("begin letter", err, false)
		}
		if _, err := w.Write(message); err != nil {
			return said("send letter", err, false)
		}
		return said("end letter", w.Close(), true)
	})
}

// Check says hello, encrypts, logs in and leaves.
func (s *Sender) Check(ctx context.Context) error {
	return s.talk(ctx, func(c *smtp.Client) error { return said("ask server", c.Noop(), false) })
}

// talk opens a conversation, and closes it whatever happens. What do has done counts, even if the farewell fails.
func (s *Sender) talk(ctx context.Context, do func(*smtp.Client) error) error {
	ctx, cancel := context.WithTimeout(ctx, TotalTimeout)
	defer cancel()
	dialer := net.Dialer{Timeout: DialTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", s.address)
	if err != nil {
		return fmt.Errorf("reach mail server: %w", err)
	}
	if end, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(end); err != nil {
			return errors.Join(fmt.Errorf("set deadline: %w", err), conn.Close())
		}
	}
	closed := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { closed <- conn.Close() }) // which ends whatever is under way
	defer stop()
	c, err := s.open(ctx, &bounded{Conn: conn, left: MaxReplies})
	if err != nil {
		return errors.Join(err, ignoreClosed(conn.Close()))
	}
	if err := do(c); err != nil {
		return errors.Join(err, ignoreClosed(conn.Close()))
	}
	if err := c.Quit(); err != nil { // it took the letter before: that it does not say goodbye is no failure
		return ignoreClosed(conn.Close())
	}
	return nil
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// open says hello, encrypts and logs in.
func (s *Sender) open(ctx context.Context, conn net.Conn) (*smtp.Client, error) {
	secure := &tls.Config{ServerName: s.host, RootCAs: s.roots, MinVersion: tls.VersionTLS12}
	if s.implicit {
		t := tls.Client(conn, secure)
		if err := t.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("encrypt: %w", err)
		}
		conn = t
	}
	c, err := smtp.NewClient(conn, s.host)
	if err != nil {
		return nil, said("greet mail server", err, false)
	}
	if err := c.Hello(domain(s.from.Address)); err != nil {
		return nil, said("say hello", err, false)
	}
	if !s.implicit {
		switch ok, _ := c.Extension("STARTTLS"); {
		case ok:
			if err := c.StartTLS(secure); err != nil {
				return nil, said("encrypt", err, false)
			}
		case !s.plain: // somebody on the way may have cut it out
			return nil, errors.New("the mail server offers no STARTTLS: nothing is sent in the open")
		}
	}
	if s.user == "" {
		return c, nil
	}
	if ok, _ := c.Extension("AUTH"); !ok {
		return nil, errors.New("the mail server offers no log-in (AUTH): take user and password away, or try another port")
	}
	return c, said("log in to mail server", c.Auth(s.auth(c)), false)
}

// auth is PLAIN (RFC 4616), or LOGIN where the server knows only that.
func (s *Sender) auth(c *smtp.Client) smtp.Auth {
	_, known := c.Extension("AUTH")
	ways := strings.Fields(strings.ToUpper(known))
	if slices.Contains(ways, "LOGIN") && !slices.Contains(ways, "PLAIN") {
		return &loginAuth{user: s.user, password: s.password}
	}
	return smtp.PlainAuth("", s.user, s.password, s.host)
}

// loginAuth is AUTH LOGIN (draft-murchison-sasl-login): the server asks for the name, then for the password. It is only begun
// on a connection that net/smtp and open hold for safe.
type loginAuth struct {
	user, password string
	asked          int
}

func (a *loginAuth) Start(i *smtp.ServerInfo) (string, []byte, error) {
	if !i.TLS && !loopback(i.Name) {
		return "", nil, errors.New("the connection is in the open")
	}
	return "LOGIN", nil, nil
}

func (a *loginAuth) Next(_ []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil //nolint:nilnil // the protocol's end
	}
	a.asked++
	switch a.asked {
	case 1:
		return []byte(a.user), nil
	case 2:
		return []byte(a.password), nil
	}
	return nil, errors.New("the server asks on and on")
}

// said puts a server's refusal into an error; final tells that a 5xx at this point is about the letter and for good.
func said(doing string, err error, final bool) error {
	if err == nil {
		return nil
	}
	var reply *textproto.Error
	if !errors.As(err, &reply) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	text := fmt.Sprintf("%s: %d %s", doing, reply.Code, clean("", reply.Msg))
	if len(text) > MaxDetail {
		text = strings.ToValidUTF8(text[:MaxDetail], "")
	}
	if final && reply.Code >= 500 {
		return fmt.Errorf("%s: %w", text, payment.ErrUndeliverable)
	}
	return errors.New(text)
}

func ascii(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r > 0x7e })
}

// bounded is a connection of which only so much is read.
type bounded struct {
	net.Conn
	left int
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the mail server says more than %d bytes: %w", MaxReplies, io.ErrShortBuffer)
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}
