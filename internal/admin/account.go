package admin

import (
	"encoding/base64"
	"html/template"
	"net/http"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

type accountPage struct {
	frame
	Factor   bool
	Recovery int  // codes that are left
	Mails    bool // letters are sent
}

func (d *door) accountPage(r *http.Request, v *visit) accountPage {
	return accountPage{frame: d.frame(r, v, "account.title"), Factor: v.User.HasFactor(), Recovery: len(v.User.Recovery), Mails: d.Office.Mails}
}

// account shows the person's own settings.
func (d *door) account(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.render(w, r, "account", d.accountPage(r, v))
}

// accountSaved shows the settings again where they were refused, or says that they were saved.
func (d *door) accountSaved(w http.ResponseWriter, r *http.Request, v *visit, err error) error {
	if s, status, ok := d.refusal(v, err); ok {
		p := d.accountPage(r, v)
		p.Error, p.Status = s, status
		return d.render(w, r, "account", p)
	}
	if err != nil {
		return err
	}
	return done(w, r, "/account", "saved")
}

func (d *door) saveProfile(w http.ResponseWriter, r *http.Request, v *visit) error {
	language, ok := web.LanguageOf(r.PostForm.Get("language"))
	if !ok {
		language = v.User.Language
	}
	return d.accountSaved(w, r, v, d.Office.SetProfile(r.Context(), v.By, r.PostForm.Get("name"), language))
}

func (d *door) savePassword(w http.ResponseWriter, r *http.Request, v *visit) error {
	if !d.signIn(r) {
		return web.TooMany()
	}
	return d.accountSaved(w, r, v, d.Office.ChangePassword(r.Context(), v.By, r.PostForm.Get("old"), r.PostForm.Get("password")))
}

// askEmail sends the letters by which the address is changed, or is not.
func (d *door) askEmail(w http.ResponseWriter, r *http.Request, v *visit) error {
	if !d.signIn(r) {
		return web.TooMany()
	}
	if err := d.Office.AskEmail(r.Context(), v.By, r.PostForm.Get("email")); err != nil {
		return d.accountSaved(w, r, v, err)
	}
	return done(w, r, "/account", "email-ask")
}

type totpPage struct {
	frame
	Setup    engine.TOTPSetup
	QR       template.HTML
	Sealed   string
	Password bool     // the password is asked for
	Codes    []string // new recovery codes, shown this once
}

func (d *door) totpPage(r *http.Request, v *visit) (totpPage, error) {
	p := totpPage{frame: d.frame(r, v, "totp.title"), Password: !v.Guarded() && !v.SteppedUp()}
	var err error
	if p.Setup, err = d.Office.NewTOTP(v.By); err != nil {
		return p, err
	}
	p.Sealed = base64.RawURLEncoding.EncodeToString(p.Setup.Sealed)
	p.QR, err = web.DrawQR(p.Setup.URI, v.texts.Say("totp.qr"))
	return p, err
}

// totpForm shows the secret for an authenticator app. Who has one already confirms first that it is them.
func (d *door) totpForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	if v.Guarded() && !v.SteppedUp() {
		_, err := d.stepUp(w, r, v)
		return err
	}
	p, err := d.totpPage(r, v)
	if err != nil {
		return err
	}
	return d.render(w, r, "totp", p)
}

// totpOn turns it on, and shows the recovery codes.
func (d *door) totpOn(w http.ResponseWriter, r *http.Request, v *visit) error {
	if !d.signIn(r) {
		return web.TooMany()
	}
	sealed, err := base64.RawURLEncoding.DecodeString(r.PostForm.Get("sealed"))
	if err != nil {
		return payment.Malformed("secret", "begin again: this form is broken")
	}
	codes, err := d.Office.EnrolTOTP(r.Context(), v.By, engine.Enrolment{
		Sealed: sealed, Code: r.PostForm.Get("code"), Password: r.PostForm.Get("password"),
	})
	if s, status, ok := d.refusal(v, err); ok {
		p, err := d.totpPage(r, v)
		if err != nil {
			return err
		}
		p.Error, p.Status = s, status
		return d.render(w, r, "totp", p)
	}
	if err != nil {
		return err
	}
	return d.render(w, r, "recovery", totpPage{frame: d.frame(r, v, "recovery.title"), Codes: codes})
}

func (d *door) totpOff(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.accountSaved(w, r, v, d.Office.DropTOTP(r.Context(), v.By))
}

// newRecovery makes new recovery codes; they are in this one answer.
func (d *door) newRecovery(w http.ResponseWriter, r *http.Request, v *visit) error {
	codes, err := d.Office.NewRecovery(r.Context(), v.By)
	if _, _, ok := d.refusal(v, err); ok {
		return d.accountSaved(w, r, v, err)
	}
	if err != nil {
		return err
	}
	return d.render(w, r, "recovery", totpPage{frame: d.frame(r, v, "recovery.title"), Codes: codes})
}

type sessionsPage struct {
	frame
	Sessions []payment.Session
}

// sessions lists where the person is logged in.
func (d *door) sessions(w http.ResponseWriter, r *http.Request, v *visit) error {
	all, err := d.Office.Sessions(r.Context(), v.By)
	if err != nil {
		return err
	}
	return d.render(w, r, "sessions", sessionsPage{frame: d.frame(r, v, "sessions.title"), Sessions: all})
}

// endSession ends one session, or all others.
func (d *door) endSession(w http.ResponseWriter, r *http.Request, v *visit) error {
	if err := d.Office.EndSession(r.Context(), v.By, payment.ID(r.PostForm.Get("id"))); err != nil {
		return err
	}
	return done(w, r, "/sessions", "session")
}
