package admin

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store"
)

const (
	ownerEmail = "owner@shop.example"
	password   = "correct horse battery"
)

// aead is a sealer under a random key.
type aead struct{ cipher.AEAD }

func newAEAD(t *testing.T) aead {
	t.Helper()
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	g, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return aead{g}
}

func (a aead) Seal(clear []byte) ([]byte, error)  { return a.AEAD.Seal(nil, nil, clear, nil), nil }
func (a aead) Open(sealed []byte) ([]byte, error) { return a.AEAD.Open(nil, nil, sealed, nil) }

// rig is the admin over a real store with a clock that tests move.
type rig struct {
	t      *testing.T
	server *httptest.Server
	office *engine.Office
	store  *store.Store
	desk   *engine.Desk
	shop   payment.Merchant
	owner  payment.User

	mu  sync.Mutex // guards now
	now time.Time
}

func (g *rig) clock() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

func (g *rig) pass(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = g.now.Add(d)
}

// newRig has one merchant with one owner, who has a password and no second factor.
func newRig(t *testing.T, change ...func(*Options)) *rig {
	t.Helper()
	return newRigOn(t, "sqlite:"+filepath.Join(t.TempDir(), "pipe.db"), change...)
}

// newRigOn has them in an empty database.
func newRigOn(t *testing.T, address string, change ...func(*Options)) *rig {
	t.Helper()
	g := &rig{t: t, now: time.Now()}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	if _, _, err := store.Migrate(t.Context(), address, nil); err != nil {
		t.Fatal(err)
	}
	var err error
	if g.store, err = store.Open(t.Context(), store.Options{URL: address, Logger: quiet, Now: g.clock}); err != nil {
		t.Fatal(err)
	}
	seal := newAEAD(t)
	g.server = httptest.NewUnstartedServer(nil)
	url := "http://" + g.server.Listener.Addr().String()
	g.office = &engine.Office{Store: g.store, Sealer: seal, Hasher: engine.NewHasher(), URL: url, SignUp: engine.SignUpOpen, Mails: true, Log: quiet}
	g.desk = &engine.Desk{Store: g.store, Sealer: seal, Log: quiet}
	o := Options{Office: g.office, Desk: g.desk, URL: url, Log: quiet, SignInRate: 10_000, SignInBurst: 10_000, RatePerIP: 100_000}
	for _, c := range change {
		c(&o)
	}
	if g.server.Config.Handler, err = New(o); err != nil {
		t.Fatal(err)
	}
	g.server.Start()
	t.Cleanup(func() {
		g.server.Close()
		if err := g.store.Close(); err != nil {
			t.Error(err)
		}
	})
	if g.shop, err = g.desk.AddMerchant(t.Context(), "가게 하나"); err != nil {
		t.Fatal(err)
	}
	g.owner = g.user(ownerEmail, payment.Owner)
	return g
}

// user is a user with the password, in the shop's team; role "" is in none.
func (g *rig) user(email string, role payment.Role) payment.User {
	g.t.Helper()
	u, err := g.office.AddUser(g.t.Context(), engine.NewUser{Email: email, Name: "Kim", Password: password, Language: payment.English})
	if err != nil {
		g.t.Fatal(err)
	}
	if role == "" {
		return u
	}
	err = g.store.Update(g.t.Context(), func(tx engine.Tx) error {
		return tx.AddMember(payment.Member{UserID: u.ID, MerchantID: g.shop.ID, Role: role, CreatedAt: tx.Now()})
	})
	if err != nil {
		g.t.Fatal(err)
	}
	return u
}

// join puts somebody who left back into the shop's team.
func (g *rig) join(email string, role payment.Role) {
	g.t.Helper()
	err := g.store.Update(g.t.Context(), func(tx engine.Tx) error {
		u, err := tx.UserByEmail(email)
		if err != nil {
			return err
		}
		if _, err := tx.Member(g.shop.ID, u.ID); err == nil {
			return nil
		}
		return tx.AddMember(payment.Member{UserID: u.ID, MerchantID: g.shop.ID, Role: role, CreatedAt: tx.Now()})
	})
	if err != nil {
		g.t.Fatal(err)
	}
}

// browser is one browser with its cookies. It follows no redirects.
type browser struct {
	*rig
	client *http.Client
}

func (g *rig) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		g.t.Fatal(err)
	}
	return &browser{g, &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// answer is what came back.
type answer struct {
	code     int
	location string
	body     string
	header   http.Header
}

func (b *browser) do(r *http.Request) answer {
	b.t.Helper()
	resp, err := b.client.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer func() {
		if err := resp.Body.Close(); err != nil {
			b.t.Error(err)
		}
	}()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header.Get("Location"), string(body), resp.Header}
}

func (b *browser) get(path string) answer {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.server.URL+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.do(r)
}

// post sends a form as the browser would: with the merchant that the page was made for.
func (b *browser) post(path string, form url.Values) answer {
	b.t.Helper()
	if form == nil {
		form = url.Values{}
	}
	if !form.Has(merchantField) {
		form.Set(merchantField, string(b.shop.ID))
	}
	r, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, b.server.URL+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Origin", b.server.URL)
	return b.do(r)
}

// login logs in with the password and must get in.
func (b *browser) login(email string) *browser {
	b.t.Helper()
	if a := b.post("/login", url.Values{"email": {email}, "password": {password}}); a.code != http.StatusSeeOther || a.location != "/" {
		b.t.Fatalf("log in as %s: %d to %q: %s", email, a.code, a.location, a.body)
	}
	return b
}

// stepUp makes the browser's session one that was just confirmed, as a second factor does.
func (b *browser) stepUp() *browser {
	b.t.Helper()
	u, err := url.Parse(b.server.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	var token string
	for _, c := range b.client.Jar.Cookies(u) {
		if c.Name == "pipe" {
			token = c.Value
		}
	}
	by, err := b.office.Visit(b.t.Context(), token, engine.Caller{})
	if err != nil {
		b.t.Fatal(err)
	}
	err = b.store.Update(b.t.Context(), func(tx engine.Tx) error {
		s, err := tx.SessionByHash(by.Session.Hash)
		if err != nil {
			return err
		}
		s.StepUpTill = tx.Now().Add(engine.StepUpFor)
		return tx.SwapSession(s)
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return b
}

// want checks an answer's status and that its body has a text.
func (b *browser) want(what string, a answer, code int, text string) {
	b.t.Helper()
	if a.code != code || !strings.Contains(a.body, text) {
		b.t.Errorf("%s: %d (want %d), to %q, want %q in:\n%s", what, a.code, code, a.location, text, a.body)
	}
	if m := regexp.MustCompile(`⟦[^⟧]*⟧`).FindString(a.body); m != "" {
		b.t.Errorf("%s: no text for %s", what, m)
	}
}
