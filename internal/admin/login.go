package admin

import (
	"net/http"

	"github.com/pipe-pg/pipe/internal/web"
)

type loginPage struct {
	frame
	Next   string
	SignUp bool // accounts can be asked for
	Forgot bool // letters are sent

	Passkeys bool // can be used here
}

func (d *door) loginPage(r *http.Request, v *visit) loginPage {
	return loginPage{
		frame: d.frame(r, v, "login.title"), Next: localPath(r.FormValue("next")), SignUp: d.Office.SignUp == "open" && d.Office.Mails,
		Forgot: d.Office.Mails, Passkeys: d.Office.Verifier != nil,
	}
}

// loginForm shows the form; who is logged in goes home.
func (d *door) loginForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	if v.in {
		return redirect(w, r, localPath(r.FormValue("next")))
	}
	return d.render(w, r, "login", d.loginPage(r, v))
}

// login takes e-mail address and password. A session that the browser had ends: nobody carries one over into a log-in.
func (d *door) login(w http.ResponseWriter, r *http.Request, v *visit) error {
	if !d.signIn(r) {
		return web.TooMany()
	}
	in, err := d.Office.LogIn(r.Context(), r.PostForm.Get("email"), r.PostForm.Get("password"), d.device(r))
	if s, status, ok := d.refusal(v, err); ok {
		p := d.loginPage(r, v)
		p.Error, p.Status = s, status
		return d.render(w, r, "login", p)
	}
	if err != nil {
		return err
	}
	if err := d.swap(w, r, in.Token); err != nil {
		return err
	}
	d.remember(w, in.Device)
	next := localPath(r.PostForm.Get("next"))
	if in.Session.Level == "half" {
		next = "/login/code?next=" + queryEscape(next)
	}
	return redirect(w, r, next)
}

// swap ends the browser's old session, if any, and gives it a new one.
func (d *door) swap(w http.ResponseWriter, r *http.Request, token string) error {
	if old := d.token(r); old != "" {
		if err := d.Office.LogOut(r.Context(), old); err != nil {
			return err
		}
	}
	d.keep(w, token)
	return nil
}

// codeForm asks for the second factor.
func (d *door) codeForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	if _, err := d.Office.Half(r.Context(), d.token(r), v.Caller); err != nil {
		return redirect(w, r, "/login")
	}
	p := d.loginPage(r, v)
	p.Title = v.texts.Say("code.title")
	return d.render(w, r, "code", p)
}

func (d *door) code(w http.ResponseWriter, r *http.Request, v *visit) error {
	if !d.signIn(r) {
		return web.TooMany()
	}
	in, err := d.Office.Prove(r.Context(), d.token(r), r.PostForm.Get("code"), d.device(r))
	if s, status, ok := d.refusal(v, err); ok {
		if _, gone := d.Office.Half(r.Context(), d.token(r), v.Caller); gone != nil {
			return redirect(w, r, "/login")
		}
		p := d.loginPage(r, v)
		p.Title, p.Error, p.Status = v.texts.Say("code.title"), s, status
		return d.render(w, r, "code", p)
	}
	if err != nil {
		return err
	}
	d.keep(w, in.Token)
	d.remember(w, in.Device)
	return redirect(w, r, localPath(r.PostForm.Get("next")))
}

func (d *door) logout(w http.ResponseWriter, r *http.Request, _ *visit) error {
	if err := d.swap(w, r, ""); err != nil {
		return err
	}
	return redirect(w, r, "/login")
}
