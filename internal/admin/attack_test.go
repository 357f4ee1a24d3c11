package admin

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

// cookies are those that the browser keeps for the admin.
func (b *browser) cookies() map[string]string {
	b.t.Helper()
	u, err := url.Parse(b.server.URL)
	if err != nil {
		b.t.Fatal(err)
	}
	all := map[string]string{}
	for _, c := range b.client.Jar.Cookies(u) {
		all[c.Name] = c.Value
	}
	return all
}

// TestFixation: a token that somebody put into the browser is never the one that a log-in makes, and a session that it had is
// over.
func TestFixation(t *testing.T) {
	g := newRig(t)
	b := g.browser()
	u, err := url.Parse(g.server.URL)
	if err != nil {
		t.Fatal(err)
	}
	b.client.Jar.SetCookies(u, []*http.Cookie{{Name: "pipe", Value: "planted", Path: "/"}})
	b.login(ownerEmail)
	first := b.cookies()["pipe"]
	if first == "planted" || first == "" {
		t.Fatalf("token %q", first)
	}
	b.login(ownerEmail)
	if b.cookies()["pipe"] == first {
		t.Error("the second log-in has the first one's token")
	}
	if _, err := g.office.Visit(t.Context(), first, engine.Caller{}); err == nil {
		t.Error("the first session lives on behind the second")
	}
}

// TestCookies: neither script nor plain HTTP nor other sites get at the session.
func TestCookies(t *testing.T) {
	g := newRig(t)
	a := g.browser().post("/login", url.Values{"email": {ownerEmail}, "password": {password}})
	set := strings.Join(a.header.Values("Set-Cookie"), "\n")
	if strings.Count(set, "HttpOnly") != 2 || strings.Count(set, "SameSite=Lax") != 2 {
		t.Errorf("cookies: %s", set)
	}
	d := &door{secure: true}
	w := header{}
	d.keep(w, "x")
	d.remember(w, "y")
	set = strings.Join(http.Header(w)["Set-Cookie"], "\n")
	if strings.Count(set, "__Host-pipe") != 2 || strings.Count(set, "Secure") != 2 || strings.Contains(set, "Domain") {
		t.Errorf("cookies over TLS: %s", set)
	}
}

// header is an answer of which only the header counts.
type header http.Header

func (h header) Header() http.Header       { return http.Header(h) }
func (header) Write(b []byte) (int, error) { return len(b), nil }
func (header) WriteHeader(int)             {}

// TestOtherSites: a form that another site sends does nothing, on any route.
func TestOtherSites(t *testing.T) {
	g := newRig(t)
	b := g.browser().login(ownerEmail).stepUp()
	for _, rt := range (&door{}).routes() {
		if rt.method != http.MethodPost {
			continue
		}
		path := strings.NewReplacer("{token}", "x", "{id}", "x").Replace(rt.path)
		for name, value := range map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"} {
			form := url.Values{merchantField: {string(g.shop.ID)}, "email": {"evil@x.example"}, "role": {"viewer"}}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.server.URL+path, strings.NewReader(form.Encode()))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			r.Header.Set(name, value)
			b.want(name+" at "+rt.path, b.do(r), http.StatusForbidden, "This form was sent from another site")
		}
	}
	if a := b.get("/team"); strings.Contains(a.body, "evil@x.example") {
		t.Error("the other site got through")
	}
}

// TestSignInRate: a caller has three tries at once, at whatever proves who they are, and then waits; others do not.
func TestSignInRate(t *testing.T) {
	g := newRig(t, func(o *Options) {
		o.SignInRate, o.SignInBurst = 0, 0
	})
	b := g.browser()
	for i := range SignInBurst {
		if a := b.post("/login", url.Values{"email": {ownerEmail}, "password": {"wrong"}}); a.code != http.StatusUnauthorized {
			t.Fatalf("try %d: %d %s", i, a.code, a.body)
		}
	}
	for _, path := range []string{"/login", "/login/code", "/forgot", "/signup", "/link/x"} {
		if a := b.post(path, url.Values{"email": {ownerEmail}, "password": {password}}); a.code != http.StatusTooManyRequests {
			t.Errorf("%s after: %d %s", path, a.code, a.body)
		}
	}
}

// TestAlike: the page for an unknown address is the one for a wrong password, to the last byte.
func TestAlike(t *testing.T) {
	g := newRig(t)
	for _, path := range []string{"/login", "/forgot"} {
		var bodies []string
		for _, email := range []string{ownerEmail, "nobody@shop.example"} {
			a := g.browser().post(path, url.Values{"email": {email}, "password": {"wrong wrong wrong"}})
			bodies = append(bodies, strings.ReplaceAll(a.body, email, ""))
		}
		if bodies[0] != bodies[1] {
			t.Errorf("%s tells: %s\n%s", path, bodies[0], bodies[1])
		}
	}
}

// TestKnownDevice: the browser that logged in before gets in while others make the account rest, but cannot guess for ever.
func TestKnownDevice(t *testing.T) {
	g := newRig(t)
	b := g.browser().login(ownerEmail)
	b.post("/logout", nil)
	try := func(b *browser, password string) answer {
		return b.post("/login", url.Values{"email": {ownerEmail}, "password": {password}})
	}
	stranger := g.browser()
	for range engine.MaxFailedSignIns {
		try(stranger, "wrong wrong wrong")
	}
	if a := try(stranger, password); a.code != http.StatusUnauthorized {
		t.Fatalf("a stranger gets in while the account rests: %d", a.code)
	}
	b.login(ownerEmail)
	b.post("/logout", nil)
	for range engine.MaxFailedSignIns {
		try(b, "wrong wrong wrong")
	}
	if a := try(b, password); a.code != http.StatusUnauthorized {
		t.Errorf("a known device guesses for ever: %d", a.code)
	}
}

// TestNext: a log-in leads to our own pages only.
func TestNext(t *testing.T) {
	for next, want := range map[string]string{
		"/team": "/team", "/payments?q=a%20b": "/payments?q=a%20b", "": "/", "https://evil.example": "/", "//evil.example": "/", `/\evil.example`: "/",
		"/\tevil": "/", "javascript:alert(1)": "/", "team": "/", "///evil.example": "/", "/" + strings.Repeat("a", MaxNext): "/",
	} {
		if got := localPath(next); got != want {
			t.Errorf("%q leads to %q, not %q", next, got, want)
		}
	}
}

// TestA8Banner: on a server whose coins have no worth every page says so in words and in colour, in both languages; on another none does.
func TestA8Banner(t *testing.T) {
	test, live := newRig(t, withNets(newList()), func(o *Options) { o.Sandbox = true }), newRig(t, withNets(newList()))
	css := test.browser().get(regexp.MustCompile(`/static/admin\.[0-9a-f]+\.css`).FindString(test.browser().get("/login").body)).body
	if !regexp.MustCompile(`\.sandbox\{[^}]*background:#[0-9a-f]{6};color:#fff`).MatchString(css) {
		t.Error("the banner has no colour of its own")
	}
	pages := 0
	for _, rt := range (&door{}).routes() {
		if rt.method != http.MethodGet || strings.Contains(rt.path, "{id}") || strings.Contains(rt.path, ".csv") {
			continue
		}
		path := strings.NewReplacer("{$}", "", "{token}", "x").Replace(rt.path)
		for lang, text := range map[string]string{"en": "TEST MODE. The coins here have no value.", "ko": "테스트 모드"} {
			for g, want := range map[*rig]bool{test: true, live: false} {
				b := g.browser()
				if rt.needs != anybody {
					b.login(ownerEmail)
					b.language(map[string]payment.Language{"en": payment.English, "ko": payment.Korean}[lang])
				}
				a := b.get(path + "?lang=" + lang)
				if a.code == http.StatusSeeOther {
					continue
				}
				pages++
				if strings.Contains(a.body, `<div class="sandbox">`) != want || strings.Contains(a.body, text) != want {
					t.Errorf("%s in %s: banner wanted %t: %s", path, lang, want, a.body)
				}
			}
		}
	}
	if pages < 60 {
		t.Errorf("only %d pages", pages)
	}
}
