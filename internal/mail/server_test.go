package mail_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// postOffice is a small SMTP server (RFC 5321, 3207, 4954) that keeps what it is given.
type postOffice struct {
	t        *testing.T
	listener net.Listener
	roots    *x509.CertPool
	tls      *tls.Config

	implicit bool
	starttls bool
	auth     string            // ways to log in that are offered
	replies  map[string]string // what is answered instead, by verb ("." ends a letter)
	stall    string            // the verb after which nothing is said
	flood    bool              // says hello for ever

	mu   sync.Mutex // guards what follows
	got  []received
	seen []string // commands in the open
	wg   sync.WaitGroup
}

// received is one letter.
type received struct {
	from, to, user, password, data string
	secure                         bool
}

func newPostOffice(t *testing.T, change func(*postOffice)) *postOffice {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "127.0.0.1"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	p := &postOffice{t: t, roots: x509.NewCertPool(), tls: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}}
	p.roots.AddCert(parsed)
	if change != nil {
		change(p)
	}
	if p.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil { //nolint:noctx // a test's own server
		t.Fatal(err)
	}
	p.wg.Go(p.serve)
	t.Cleanup(func() {
		if err := p.listener.Close(); err != nil {
			t.Error(err)
		}
		p.wg.Wait()
	})
	return p
}

func (p *postOffice) url() string {
	if p.implicit {
		return "smtps://" + p.listener.Addr().String()
	}
	return "smtp://" + p.listener.Addr().String()
}

func (p *postOffice) letters() []received {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]received(nil), p.got...)
}

func (p *postOffice) inTheOpen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.seen, "\n")
}

func (p *postOffice) serve() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() {
			c := &clerk{postOffice: p, conn: conn}
			c.talk()
			if err := c.conn.Close(); err != nil && c.lost == nil {
				c.lost = err // the other side was faster
			}
		})
	}
}

// clerk serves one connection.
type clerk struct {
	*postOffice
	conn net.Conn
	r    *bufio.Reader
	now  received
	lost error
}

func (c *clerk) say(text string) {
	if _, err := c.conn.Write([]byte(text + "\r\n")); err != nil {
		c.lost = err
	}
}

func (c *clerk) read() string {
	line, err := c.r.ReadString('\n')
	if err != nil {
		c.lost = err
	}
	return strings.TrimRight(line, "\r\n")
}

func (c *clerk) talk() {
	if c.implicit {
		c.conn, c.now.secure = tls.Server(c.conn, c.tls), true
	}
	c.r = bufio.NewReader(c.conn)
	for c.flood && c.lost == nil {
		c.say("220-" + strings.Repeat("x", 1000))
	}
	c.say("220 post office")
	for c.lost == nil {
		line := c.read()
		verb, rest, _ := strings.Cut(line, " ")
		verb = strings.ToUpper(verb)
		if !c.now.secure {
			c.mu.Lock()
			c.seen = append(c.seen, line)
			c.mu.Unlock()
		}
		if verb == c.stall {
			c.read() // until the caller gives up
			return
		}
		if text, ok := c.replies[verb]; ok {
			c.say(text)
			continue
		}
		if !c.obey(verb, rest) {
			return
		}
	}
}

func (c *clerk) obey(verb, rest string) bool {
	switch verb {
	case "EHLO":
		c.say("250-post.example")
		if c.starttls && !c.now.secure {
			c.say("250-STARTTLS")
		}
		if c.auth != "" {
			c.say("250-AUTH " + c.auth)
		}
		c.say("250 8BITMIME")
	case "STARTTLS":
		c.say("220 go")
		c.conn, c.now.secure = tls.Server(c.conn, c.tls), true
		c.r = bufio.NewReader(c.conn)
	case "AUTH":
		c.logIn(rest)
	case "MAIL":
		c.now.from = rest
		c.say("250 ok")
	case "RCPT":
		c.now.to = rest
		c.say("250 ok")
	case "DATA":
		c.say("354 go")
		c.data()
	case "NOOP":
		c.say("250 ok")
	case "QUIT":
		c.say("221 bye")
		return false
	default:
		c.say("500 what?")
	}
	return true
}

func (c *clerk) logIn(rest string) {
	way, first, _ := strings.Cut(rest, " ")
	decode := func(text string) string {
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			c.lost = err
		}
		return string(b)
	}
	if way == "PLAIN" {
		if parts := strings.Split(decode(first), "\x00"); len(parts) == 3 {
			c.now.user, c.now.password = parts[1], parts[2]
		}
	} else {
		c.say("334 " + base64.StdEncoding.EncodeToString([]byte("Username:")))
		c.now.user = decode(c.read())
		c.say("334 " + base64.StdEncoding.EncodeToString([]byte("Password:")))
		c.now.password = decode(c.read())
	}
	if c.now.password != "secret" {
		c.say("535 5.7.8 no")
		return
	}
	c.say("235 welcome")
}

func (c *clerk) data() {
	var b strings.Builder
	for c.lost == nil {
		line := c.read()
		if line == "." {
			break
		}
		fmt.Fprintf(&b, "%s\n", strings.TrimPrefix(line, "."))
	}
	if text, ok := c.replies["."]; ok {
		c.say(text)
		return
	}
	c.now.data = b.String()
	c.mu.Lock()
	c.got = append(c.got, c.now)
	c.mu.Unlock()
	c.say("250 queued")
}
