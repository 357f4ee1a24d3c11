// Package admin is the web application of merchants and operators, on a listener of its own.
//
// # The way of a request
//
// web.Shell (request id, log line, errors) → http.CrossOriginProtection → guard → page. The guard (guard.go) stands before
// every route: security headers, limits per caller, who it is (engine.Office.Visit), whether their role has the route's
// permission, whether a form was made for the merchant that is chosen now, and whether a dangerous act was confirmed. A page
// is func(w, r, *visit) error; the visit has engine.By (User, Session, Merchant, Role, Now, IP) and the visitor's texts.
//
// # How to add a page
//
//  1. A row in the table of routes.go: method, path, the permission that it needs (payment.MayLook and so on; somebody: logged
//     in, with or without a merchant; operator), whether it needs a step-up (only for POST), and the page. A path may hold
//     {id}. A place for the navigation is a row in tabs.
//
//  2. A file per noun (payment.go, callback.go): the page type, which embeds frame, and the pages:
//
//     type payoutsPage struct { frame; Payouts []payment.Payout; Older string }
//
//     func (d *door) payouts(w http.ResponseWriter, r *http.Request, v *visit) error {
//     p := payoutsPage{frame: d.frame(r, v, "payouts.title")}
//     …read with v.Merchant.ID: never with an id that the request brings alone…
//     return d.render(w, r, "payouts", p)
//     }
//
//     What a page does goes through engine.Office or engine.Desk, with v.By. Within its transaction the act calls
//     engine.Record(tx, by, by.Merchant.ID, engine.Act{…}): no change without an audit record. Lists for pages are small
//     interfaces that this package declares in Options and the store meets (store/report.go); app joins them.
//
//  3. After a POST that worked: done(w, r, "/payouts", "saved") leads back and shows the text "done.saved". After one that
//     was refused: s, status, ok := d.refusal(v, err); set p.Error, p.Status = s, status and render the form again, filled from
//     .Form; .Bad "field" is what is wrong with a field.
//
//  4. templates/NOUN.html: {{template "head" .}} … {{template "foot" .}}. Texts by {{.Say "key" "name" value}}, times by
//     {{.When t}}, amounts by {{.Money a}}, {{template "empty" (.Say "…")}} for an empty list, {{if .May "refund"}} around
//     buttons. Every form of a page that needs a member's permission holds {{.Hidden}}: the guard refuses it otherwise.
//     Classes of static/admin.css: card, cards, row, scroll (around tables), num (cells), badge good|warn|bad, notice
//     good|warn|bad, lines (dl), filter (a GET form), primary, danger, plain, quiet. No inline style or script: the policy
//     forbids them, and everything works without script.
//
//  5. text/NOUN.en.json and text/NOUN.ko.json: the same keys, no key twice, no two Korean texts the same. A refusal's Korean is
//     error.WORD or error.WORD.FIELD; its English is the refusal's own message. A test finds what is missing.
//
//  6. Lists page by key: ask for engine.PageRows+1 rows and link to ?before=… of the last one shown; see auditlog.go.
//
//  7. go test ./internal/admin -update writes docs/roles.md anew; TestA10EveryRoute tries the route as every role over HTTP by
//     itself. Then a test of your own with newRig: g.browser().login(ownerEmail), get, post, want; stepUp where the route
//     needs it.
//
// Secrets that are shown once are rendered in the answer of the POST that made them, never after a redirect.
package admin
