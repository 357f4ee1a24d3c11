package admin

import (
	"net/http"
	"slices"

	"github.com/pipe-pg/pipe/internal/payment"
)

// A page answers a request of somebody whom the guard let through.
type page func(w http.ResponseWriter, r *http.Request, v *visit) error

// Who may use a route, beside the permissions of members.
const (
	anybody  payment.Permission = "anybody"  // without logging in
	somebody payment.Permission = "somebody" // logged in, with or without a merchant
	operator payment.Permission = "operator" // operators of the house
)

// A route is what is served, to whom. stepUp asks for a second factor that is at most five minutes old.
type route struct {
	method, path string
	needs        payment.Permission
	stepUp       bool
	page         page
}

// routes lists every route. The guard stands before each; docs/roles.md is made from this table.
func (d *door) routes() []route { return slices.Concat(d.outside(), d.own(), d.inside()) }

// outside lists the routes that need no log-in.
func (d *door) outside() []route {
	const get, post = http.MethodGet, http.MethodPost
	return []route{
		{get, "/login", anybody, false, d.loginForm},
		{post, "/login", anybody, false, d.login},
		{get, "/login/code", anybody, false, d.codeForm},
		{post, "/login/code", anybody, false, d.code},
		{post, "/login/passkey/ask", anybody, false, d.passkeyLoginAsk},
		{post, "/login/passkey", anybody, false, d.passkeyLogin},
		{post, "/logout", anybody, false, d.logout},
		{get, "/signup", anybody, false, d.signUpForm},
		{post, "/signup", anybody, false, d.signUp},
		{get, "/forgot", anybody, false, d.forgotForm},
		{post, "/forgot", anybody, false, d.forgot},
		{get, "/link/{token}", anybody, false, d.linkForm},
		{post, "/link/{token}", anybody, false, d.link},
		{get, "/veto/{token}", anybody, false, d.vetoForm},
		{post, "/veto/{token}", anybody, false, d.veto},
	}
}

// own lists the routes of who is logged in, about themselves.
func (d *door) own() []route {
	const get, post = http.MethodGet, http.MethodPost
	return []route{
		{get, "/{$}", somebody, false, d.home},
		{get, "/house", operator, false, d.house},
		{post, "/house/halt", operator, true, d.haltPayouts},
		{post, "/house/resume", operator, true, d.resumePayouts},
		{post, "/house/letters/retry", operator, false, d.retryLetters},
		{post, "/house/letters/drop", operator, false, d.dropLetters},
		{post, "/step-up", somebody, false, d.stepUpDone},
		{post, "/step-up/ask", somebody, false, d.stepUpAsk},
		{get, "/merchants", somebody, false, d.merchants},
		{post, "/merchants/choose", somebody, false, d.chooseMerchant},
		{post, "/merchants/add", somebody, false, d.addMerchant},
		{get, "/account", somebody, false, d.account},
		{post, "/account/profile", somebody, false, d.saveProfile},
		{post, "/account/password", somebody, false, d.savePassword},
		{post, "/account/email", somebody, true, d.askEmail},
		{get, "/account/totp", somebody, false, d.totpForm},
		{post, "/account/totp", somebody, false, d.totpOn},
		{post, "/account/totp/off", somebody, true, d.totpOff},
		{post, "/account/recovery", somebody, true, d.newRecovery},
		{get, "/account/passkeys", somebody, false, d.passkeys},
		{post, "/account/passkeys/ask", somebody, false, d.addPasskeyAsk},
		{post, "/account/passkeys", somebody, false, d.addPasskey},
		{post, "/account/passkeys/remove", somebody, true, d.removePasskey},
		{get, "/sessions", somebody, false, d.sessions},
		{post, "/sessions/end", somebody, false, d.endSession},
	}
}

// inside lists the routes of a merchant's team, and of operators.
func (d *door) inside() []route {
	const get, post = http.MethodGet, http.MethodPost
	return []route{
		{get, "/payments", payment.MayLook, false, d.payments},
		{get, "/payments.csv", payment.MayLook, false, d.paymentsFile},
		{get, "/moves.csv", payment.MayLook, false, d.movesFile},
		{get, "/payments/{id}", payment.MayLook, false, d.invoice},
		{get, "/payments/{id}/json", payment.MayLook, false, d.invoiceJSON},
		{post, "/payments/{id}/notes", payment.MayNote, false, d.addNote},
		{post, "/payments/{id}/notes/remove", payment.MayNote, false, d.removeNote},
		{post, "/payments/{id}/handled", payment.MayNote, false, d.handled},
		{post, "/payments/views/add", payment.MayLook, false, d.saveView},
		{post, "/payments/views/rename", payment.MayLook, false, d.renameView},
		{post, "/payments/views/remove", payment.MayLook, false, d.removeView},
		{get, "/payments/{id}/refund", payment.MayRefund, false, d.refundForm},
		{post, "/payments/{id}/refund", payment.MayRefund, true, d.refund},
		{get, "/callbacks", payment.MayLook, false, d.callbacks},
		{post, "/callbacks/{id}/resend", payment.MayCall, false, d.resend},
		{post, "/callbacks/resend", payment.MayCall, false, d.resendAll},
		{get, "/refunds", payment.MayLook, false, d.refunds},
		{get, "/settlements", payment.MayLook, false, d.settlements},
		{get, "/wallet", payment.MayLook, false, d.wallet},
		{post, "/wallet/receive", payment.MaySpend, false, d.receive},
		{get, "/wallet/withdraw", payment.MaySpend, false, d.withdrawForm},
		{post, "/wallet/withdraw/check", payment.MaySpend, false, d.withdrawCheck},
		{post, "/wallet/withdraw", payment.MaySpend, true, d.withdraw},
		{post, "/wallet/cancel", payment.MaySpend, false, d.cancelWithdrawal},

		{get, "/team", payment.MayLook, false, d.team},
		{post, "/team/invite", payment.MayStaff, true, d.invite},
		{post, "/team/role", payment.MayStaff, true, d.setRole},
		{post, "/team/remove", payment.MayStaff, true, d.removeMember},
		{post, "/team/again", payment.MayStaff, true, d.inviteAgain},
		{post, "/team/uninvite", payment.MayStaff, false, d.takeBack},
		{post, "/team/leave", payment.MayLook, false, d.leaveTeam},
		{get, "/audit", payment.MayLook, false, d.auditLog},
		{get, "/audit.csv", payment.MayLook, false, d.auditCSV},

		{get, "/applications", payment.MayLook, false, d.applications},
		{post, "/applications/add", payment.MayIntegrate, true, d.addApplication},
		{get, "/applications/{id}", payment.MayLook, false, d.application},
		{get, "/applications/{id}/logo", payment.MayLook, false, d.logo},
		{post, "/applications/{id}/name", payment.MayIntegrate, false, d.renameApplication},
		{post, "/applications/{id}/keys/add", payment.MayIntegrate, true, d.addKey},
		{post, "/applications/{id}/keys/rotate", payment.MayIntegrate, true, d.rotateKey},
		{post, "/applications/{id}/keys/end", payment.MayIntegrate, true, d.endKey},
		{post, "/applications/{id}/urls", payment.MayIntegrate, true, d.saveURLs},
		{post, "/applications/{id}/ips", payment.MayIntegrate, true, d.saveIPs},
		{post, "/applications/{id}/ips/add", payment.MayIntegrate, true, d.addIP},
		{post, "/applications/{id}/callbacks", payment.MayIntegrate, true, d.saveCallbacks},
		{post, "/applications/{id}/secret", payment.MayIntegrate, true, d.rotateSecret},
		{post, "/applications/{id}/test", payment.MayCall, false, d.testCallback},
		{post, "/applications/{id}/coins", payment.MayGovern, true, d.saveCoins},
		{post, "/applications/{id}/policy", payment.MayGovern, true, d.savePolicy},
		{post, "/applications/{id}/look", payment.MayGovern, false, d.saveLook},
		{post, "/applications/{id}/settlement", payment.MaySpend, true, d.saveSettlement},
		{post, "/applications/{id}/settlement/veto", payment.MaySpend, true, d.vetoSettlement},
	}
}

// tabs are the pages that the navigation leads to, in its order; those that somebody may not see are left out.
func tabs() []tab {
	return []tab{
		{Key: "nav.home", URL: "/", needs: payment.MayLook},
		{Key: "nav.applications", URL: "/applications", needs: payment.MayLook},
		{Key: "nav.payments", URL: "/payments", needs: payment.MayLook},
		{Key: "nav.callbacks", URL: "/callbacks", needs: payment.MayLook},
		{Key: "nav.refunds", URL: "/refunds", needs: payment.MayLook},
		{Key: "nav.settlements", URL: "/settlements", needs: payment.MayLook},
		{Key: "nav.wallet", URL: "/wallet", needs: payment.MayLook},
		{Key: "nav.team", URL: "/team", needs: payment.MayLook},
		{Key: "nav.house", URL: "/house", needs: operator},
		{Key: "nav.audit", URL: "/audit", needs: payment.MayLook},
	}
}
