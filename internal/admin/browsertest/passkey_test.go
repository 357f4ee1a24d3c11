// Package browsertest drives the admin in a real browser.
package browsertest

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/pipe-pg/pipe/internal/admin"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/passkey"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store"
	"github.com/pipe-pg/pipe/internal/webtest"
)

const (
	owner  = "owner@shop.example"
	sesame = "correct horse battery"
)

// plain seals nothing: what is sealed is not this test's matter.
type plain struct{}

func (plain) Seal(clear []byte) ([]byte, error)  { return clear, nil }
func (plain) Open(sealed []byte) ([]byte, error) { return sealed, nil }

// serve is the admin at http://localhost: a passkey needs a name, and localhost needs no TLS.
func serve(t *testing.T) (url string, office *engine.Office) {
	t.Helper()
	address := "sqlite:" + filepath.Join(t.TempDir(), "pipe.db")
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	if _, _, err := store.Migrate(t.Context(), address, nil); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), store.Options{URL: address, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(nil)
	t.Cleanup(func() {
		server.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	url = strings.Replace("http://"+server.Listener.Addr().String(), "127.0.0.1", "localhost", 1)
	keys, err := passkey.New(url)
	if err != nil {
		t.Fatal(err)
	}
	office = &engine.Office{Store: s, Sealer: plain{}, Hasher: engine.NewHasher(), URL: url, SignUp: engine.SignUpInvited, Log: log, Verifier: keys}
	desk := &engine.Desk{Store: s, Sealer: plain{}, Log: log}
	server.Config.Handler, err = admin.New(admin.Options{Office: office, Desk: desk, URL: url, Log: log, SignInRate: 1000, SignInBurst: 1000})
	if err != nil {
		t.Fatal(err)
	}
	server.Start()
	m, err := desk.AddMerchant(t.Context(), "Shop")
	if err != nil {
		t.Fatal(err)
	}
	_, err = office.AddUser(t.Context(), engine.NewUser{Email: owner, Name: "Kim", Password: sesame, Language: payment.English, Merchant: m.ID})
	if err != nil {
		t.Fatal(err)
	}
	return url, office
}

// tester does steps in the browser and fails the test where one does not come about.
type tester struct {
	*testing.T
	ctx context.Context
}

func (x tester) do(what string, steps ...chromedp.Action[chromedp.Void]) {
	x.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, webtest.Patience)
	defer cancel()
	if err := chromedp.Do(ctx, steps...); err != nil {
		body, _ := chromedp.Run(x.ctx, chromedp.Evaluate[string]("location.href + ' ' + document.body.innerText")) //nolint:errcheck // it only helps to see why
		x.Fatalf("%s: %v; the page says %s", what, err, body)
	}
}

// until waits until something holds in the page.
func (x tester) until(what, expression string) {
	x.Helper()
	ctx, cancel := context.WithTimeout(x.ctx, webtest.Patience)
	defer cancel()
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](expression)); err != nil {
		x.Fatalf("%s: %v", what, err)
	}
}

func TestMain(m *testing.M) { os.Exit(chromium.Main(m)) }

func css(text string) chromedp.CSS { return chromedp.CSS(text) }

// TestA11Passkey: one is added, logs in without name and password, confirms a dangerous act, makes the password alone not enough,
// and is removed; an authenticator that does not verify its user gets nowhere.
func TestA11Passkey(t *testing.T) {
	url, office := serve(t)
	x := tester{t, chromium.Tab(t)}
	if _, err := chromedp.Call(x.ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	made, err := chromedp.Call(x.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal, HasResidentKey: true,
		HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true,
	}})
	if err != nil {
		t.Fatal(err)
	}
	verified := func(yes bool) {
		t.Helper()
		p := webauthn.SetUserVerifiedParams{AuthenticatorID: made.AuthenticatorID, IsUserVerified: yes}
		if _, err := chromedp.Call(x.ctx, webauthn.SetUserVerified, p); err != nil {
			t.Fatal(err)
		}
	}
	see, click := chromedp.WaitVisible[chromedp.CSS], chromedp.Click[chromedp.CSS]
	logIn := chromedp.Steps(chromedp.Navigate(url+"/login"), chromedp.SetValue(css(`input[name=email]`), owner),
		chromedp.SetValue(css(`input[name=password]`), sesame), click(css(`form[action="/login"] button`)))
	logOut := chromedp.Steps(click(css(`form[action="/logout"] button`)), see(css(`form[action="/login"]`)))
	in := see(css(`form[action="/logout"]`))
	withKey := click(css(`form[data-ask="/login/passkey/ask"] button`))

	x.do("log in", logIn, in)
	x.do("wrong password", chromedp.Navigate(url+"/account/passkeys"), chromedp.SetValue(css(`form[data-make] input[name=name]`), "my phone"),
		chromedp.SetValue(css(`form[data-make] input[name=password]`), "wrong wrong"), click(css(`form[data-make] button`)))
	x.until("wrong password", `document.querySelector("form[data-make] [role=alert]").textContent.includes("password is wrong")`)
	x.do("add", chromedp.SetValue(css(`form[data-make] input[name=password]`), sesame), click(css(`form[data-make] button`)), see(css(`ul.codes`)))
	x.do("log out", logOut)
	x.do("password alone", logIn, see(css(`form[action="/login/code"]`)))

	verified(false)
	x.do("not verified", chromedp.Navigate(url+"/login"), withKey)
	x.until("not verified", `document.querySelector("form[data-ask] [role=alert]").textContent !== ""`)
	verified(true)
	x.do("log in by passkey", chromedp.Navigate(url+"/login?next=%2Fteam"), withKey, in)
	x.until("led on", `location.pathname === "/team"`)
	forget(t, office)
	x.do("step up by passkey", chromedp.Navigate(url+"/account/passkeys"), click(css(`form[data-ask="/step-up/ask"] button`)),
		see(css(`form[action="/account/passkeys/remove"]`)))
	x.do("remove", click(css(`form[action="/account/passkeys/remove"] button`)), see(css(`.notice.good`)))
	x.do("log out again", logOut)
	x.do("the passkey is gone", withKey, see(css(`.notice.bad`)))
	x.do("password is enough again", logIn, in)
}

// forget ends all step-ups, as five minutes do.
func forget(t *testing.T, office *engine.Office) {
	t.Helper()
	err := office.Store.Update(t.Context(), func(tx engine.Tx) error {
		u, err := tx.UserByEmail(owner)
		if err != nil {
			return err
		}
		all, err := tx.Sessions(u.ID, engine.MaxSessions)
		for _, s := range all {
			s.StepUpTill = time.Time{}
			if err := tx.SwapSession(s); err != nil {
				return err
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
