package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/payment"
)

// An Integrator changes applications for the people behind shops: the desk's checks, an audit record in the same transaction,
// and a letter to all owners where calls, callbacks or coins could go elsewhere by it.
type Integrator struct {
	Desk   *Desk
	Office *Office
	// Destinations is the signer's list of where coins may go; nil where this process has no way to a signer.
	Destinations Destinations
	Log          *slog.Logger
}

// Destinations are what a signer knows of the addresses that settlements go to.
type Destinations interface {
	// Register is Hand.Register: what is registered stays as it was. chain.ErrRefused: it was vetoed.
	Register(ctx context.Context, d chain.Destination) (chain.Destination, error)
	// Veto forbids a destination from now on.
	Veto(ctx context.Context, merchant string, n money.Network, address string) (chain.Destination, error)
}

func noApplication() error {
	return payment.Refuse(payment.NotFound, payment.WordNoRoute, "no such application")
}

// own is an application of the merchant that somebody works for.
func own(tx Tx, by By, id payment.ID) (payment.Application, error) {
	app, err := tx.Application(id)
	if errors.Is(err, payment.ErrAbsent) || err == nil && (app.MerchantID != by.Merchant.ID || by.Merchant.ID == "") {
		return payment.Application{}, noApplication()
	}
	return app, err
}

// Application is one of the merchant's, with its keys. Error: no-such-call for another's.
func (g *Integrator) Application(ctx context.Context, by By, id payment.ID) (app payment.Application, keys []payment.Key, err error) {
	err = g.Desk.Store.View(ctx, func(tx Tx) (err error) {
		if app, err = own(tx, by, id); err != nil {
			return err
		}
		keys, err = tx.Keys(id)
		return err
	})
	return app, keys, err
}

// Add makes an application with a key and a callback secret, which are known this once. Errors: malformed, too-many-requests.
func (g *Integrator) Add(ctx context.Context, by By, name string) (NewApplication, error) {
	app, key, err := g.Desk.newApplication(by.Merchant.ID, Change{Name: &name})
	if err != nil {
		return app, err
	}
	err = g.Desk.Store.Update(ctx, func(tx Tx) error {
		all, err := tx.MerchantApplications(by.Merchant.ID, "", MaxApplications)
		if err != nil {
			return err
		}
		if len(all) >= MaxApplications {
			return payment.Refuse(payment.Limit, payment.WordTooMany, "a merchant has at most %d applications", MaxApplications)
		}
		if err := g.Desk.saveApplication(tx, &app, key); err != nil {
			return err
		}
		return g.told(tx, by, app.Application, Act{Action: "application.add", Data: map[string]any{"name": app.Name, "key": key.Hint}})
	})
	return app, err
}

// An Edit is a change of an application, what it is called in the audit log, and what is written there beside.
type Edit struct {
	Change Change
	Action string
	Data   func(was, is payment.Application) map[string]any
	Quiet  bool // owners get no letter
	// Forbid is what a link in that letter forbids; nil: the letter leads to the application.
	Forbid *Target
}

// Set changes an application. Invoices that exist keep the policy they froze. Errors: malformed, no-such-call.
func (g *Integrator) Set(ctx context.Context, by By, id payment.ID, e Edit) (app payment.Application, err error) {
	err = g.Desk.Store.Update(ctx, func(tx Tx) (err error) {
		was, err := own(tx, by, id)
		if err != nil {
			return err
		}
		if app, err = own(tx, by, id); err != nil { // a copy of its own: a change writes into its map
			return err
		}
		if err := g.Desk.change(tx, &app, e.Change); err != nil {
			return err
		}
		a := Act{Action: e.Action, Subject: string(id), Data: e.Data(was, app)}
		if e.Quiet {
			return Record(tx, by, by.Merchant.ID, a)
		}
		if e.Forbid != nil {
			return g.toldVeto(tx, by, app, forbiddable{a, *e.Forbid})
		}
		return g.told(tx, by, app, a)
	})
	return app, err
}

// forbiddable is a change with what owners can forbid about it.
type forbiddable struct {
	Act
	Target
}

// toldVeto is told for a change that the letter forbids by one click, without a log-in.
func (g *Integrator) toldVeto(tx Tx, by By, app payment.Application, f forbiddable) error {
	link, err := g.Office.vetoLink(app, f.Target, tx.Now().Add(VetoFor))
	if err != nil {
		return err
	}
	err = g.Office.TellOwners(tx, by.Merchant.ID, payment.MailVeto, map[string]string{
		"subject": string(f.Coin) + " " + f.Address, "merchant": by.Merchant.Name, "by": by.User.Email, "link": link,
	})
	if err != nil {
		return err
	}
	return Record(tx, by, by.Merchant.ID, f.Act)
}

// told writes down what was done to an application and tells the owners.
func (g *Integrator) told(tx Tx, by By, app payment.Application, a Act) error {
	a.Subject = string(app.ID)
	err := g.Office.TellOwners(tx, by.Merchant.ID, payment.MailChange, map[string]string{
		"what": a.Action, "subject": app.Name, "merchant": by.Merchant.Name, "by": by.User.Email,
		"link": g.Office.URL + "/applications/" + string(app.ID),
	})
	if err != nil {
		return err
	}
	return Record(tx, by, by.Merchant.ID, a)
}

// AddKey makes a further API key, which is known this once. Errors: too-many-requests, no-such-call.
func (g *Integrator) AddKey(ctx context.Context, by By, id payment.ID, noRefund bool) (string, error) {
	key, text, err := g.Desk.newKey()
	if err != nil {
		return "", err
	}
	key.ApplicationID, key.NoRefund = id, noRefund
	return text, g.keyed(ctx, by, id, func(tx Tx) (Act, error) {
		err := addKey(tx, &key)
		return Act{Action: "key.add", Data: map[string]any{"key": key.Hint, "no_refund": noRefund}}, err
	})
}

// RotateKey makes a new API key that may do everything; all others end after overlap. Errors: malformed, too-many-requests,
// no-such-call.
func (g *Integrator) RotateKey(ctx context.Context, by By, id payment.ID, overlap time.Duration) (string, error) {
	if overlap < 0 || overlap > MaxOverlap {
		return "", payment.Malformed("overlap", "must be between 0 and %d days", MaxOverlap/(24*time.Hour))
	}
	key, text, err := g.Desk.newKey()
	if err != nil {
		return "", err
	}
	key.ApplicationID = id
	return text, g.keyed(ctx, by, id, func(tx Tx) (Act, error) {
		err := replaceKeys(tx, &key, overlap)
		return Act{Action: "key.rotate", Data: map[string]any{"key": key.Hint, "overlap": overlap.String()}}, err
	})
}

// EndKey ends a key at once. Error: malformed for one that the application does not have.
func (g *Integrator) EndKey(ctx context.Context, by By, id, key payment.ID) error {
	return g.keyed(ctx, by, id, func(tx Tx) (Act, error) {
		all, err := tx.Keys(id)
		for _, k := range all {
			if k.ID == key && (k.ExpiresAt.IsZero() || tx.Now().Before(k.ExpiresAt)) {
				return Act{Action: "key.end", Data: map[string]any{"key": k.Hint}}, tx.ExpireKey(key, tx.Now())
			}
		}
		if err == nil {
			err = payment.Malformed("key", "no such live key")
		}
		return Act{}, err
	})
}

// keyed does something to an application's keys, writes it down and tells the owners.
func (g *Integrator) keyed(ctx context.Context, by By, id payment.ID, do func(tx Tx) (Act, error)) error {
	return g.Desk.Store.Update(ctx, func(tx Tx) error {
		app, err := own(tx, by, id)
		if err != nil {
			return err
		}
		a, err := do(tx)
		if err != nil {
			return err
		}
		return g.told(tx, by, app, a)
	})
}

// RotateSecret makes a new callback secret, which is known this once. The old one signs beside it until overlap is over.
// Errors: malformed, no-such-call.
func (g *Integrator) RotateSecret(ctx context.Context, by By, id payment.ID, overlap time.Duration) (string, error) {
	if overlap < 0 || overlap > MaxOverlap {
		return "", payment.Malformed("overlap", "must be between 0 and %d days", MaxOverlap/(24*time.Hour))
	}
	text, sealed, err := g.Desk.newSecret()
	if err != nil {
		return "", err
	}
	err = g.Desk.Store.Update(ctx, func(tx Tx) error {
		app, err := own(tx, by, id)
		if err != nil {
			return err
		}
		secrets := []payment.Secret{{Sealed: sealed}}
		for _, s := range app.Callback.Secrets {
			if end := tx.Now().Add(overlap); s.Until.IsZero() || end.Before(s.Until) {
				s.Until = end
			}
			if tx.Now().Before(s.Until) && len(secrets) < MaxSecrets {
				secrets = append(secrets, s)
			}
		}
		app.Callback.Secrets, app.UpdatedAt = secrets, tx.Now()
		if err := tx.SwapApplication(app); err != nil {
			return err
		}
		return g.told(tx, by, app, Act{Action: "callback.secret", Data: map[string]any{"overlap": overlap.String()}})
	})
	return text, err
}

// A Destined is what the signer says of an application's settlement address.
type Destined struct {
	Coin    money.Currency
	Address string
	State   DestinedState
	From    time.Time // payable from then on
}

// A DestinedState is where a settlement address stands.
type DestinedState string

// The states of settlement addresses. Unknown: nobody could be asked, or the signer does not know the merchant yet, as no
// address was made for it; its delay then begins with the first settlement.
const (
	DestinedUnknown DestinedState = "unknown"
	DestinedPayable DestinedState = "payable"
	DestinedDelay   DestinedState = "delay"    // payable from a time on
	DestinedWaits   DestinedState = "approval" // the signer's operator must approve it
	DestinedVetoed  DestinedState = "vetoed"
)

// Destined asks the signer about all settlement addresses of an application. What was saved is registered with the signer by
// it, so that its delay begins.
func (g *Integrator) Destined(ctx context.Context, app payment.Application, now time.Time) map[money.Currency]Destined {
	all := map[money.Currency]Destined{}
	for coin, address := range app.Settlement {
		n, ok := g.Desk.Nets[coin]
		if !ok {
			continue
		}
		s := Destined{Coin: coin, Address: address, State: DestinedUnknown}
		if g.Destinations != nil {
			d, err := g.Destinations.Register(ctx, chain.Destination{Merchant: string(app.MerchantID), Network: n.Network, Address: address})
			s.From = d.From
			switch {
			case errors.Is(err, chain.ErrRefused):
				s.State = DestinedVetoed
			case err != nil:
				g.Log.InfoContext(ctx, "signer does not say when a settlement address is payable", "application_id", app.ID, "error", err)
			case d.From.IsZero():
				s.State = DestinedWaits
			case d.From.After(now.Add(time.Second)): // its clock was read after ours
				s.State = DestinedDelay
			default:
				s.State = DestinedPayable
			}
		}
		all[coin] = s
	}
	return all
}

// A Target is a coin and the address that it is settled to.
type Target struct {
	Coin    money.Currency
	Address string
}

// Settle sets the address that a coin is settled to; "" keeps the coin in the wallet. The signer hears of it once it is saved.
// Errors: malformed, no-such-call.
func (g *Integrator) Settle(ctx context.Context, by By, id payment.ID, to Target) error {
	var forbid *Target
	if to.Address != "" {
		forbid = &to
	}
	_, err := g.Set(ctx, by, id, Edit{
		Change: Change{Settlement: map[money.Currency]string{to.Coin: to.Address}}, Action: "settlement.address", Forbid: forbid,
		Data: func(was, is payment.Application) map[string]any {
			return map[string]any{"coin": to.Coin, "from": was.Settlement[to.Coin], "to": is.Settlement[to.Coin]}
		},
	})
	return err
}

// Veto forbids the signer for good to pay to a coin's settlement address, and takes it away from the application: its coins stay
// in the wallet. Errors: wrong-state without an address, no-node where there is no way to the signer.
func (g *Integrator) Veto(ctx context.Context, by By, id payment.ID, coin money.Currency) error {
	app, _, err := g.Application(ctx, by, id)
	if err != nil {
		return err
	}
	address := app.Settlement[coin]
	if _, served := g.Desk.Nets[coin]; address == "" || !served {
		return payment.Refuse(payment.Conflict, payment.WordState, "there is no settlement address for this coin")
	}
	return g.forbid(ctx, by, Forbidding{Target{coin, address}, app, by.Merchant})
}

// forbid carries a veto out. The address is taken away first, if it is still the application's: should the signer not be reached, coins
// go nowhere anyway.
func (g *Integrator) forbid(ctx context.Context, by By, f Forbidding) error {
	n, served := g.Desk.Nets[f.Coin]
	if g.Destinations == nil || !served {
		return payment.Refuse(payment.Unavailable, payment.WordNoNode, "this process has no way to the signer: veto with `pipe signer`, or take the address away")
	}
	d := chain.Destination{Merchant: string(f.Application.MerchantID), Network: n.Network, Address: f.Address}
	if f.Application.Settlement[f.Coin] != f.Address {
		if _, err := g.Destinations.Register(ctx, d); errors.Is(err, chain.ErrRefused) {
			return nil // it is forbidden already
		}
	}
	data := func(payment.Application, payment.Application) map[string]any {
		return map[string]any{"coin": f.Coin, "address": f.Address}
	}
	if f.Application.Settlement[f.Coin] == f.Address {
		_, err := g.Set(ctx, by, f.Application.ID, Edit{Change: Change{Settlement: map[money.Currency]string{f.Coin: ""}}, Action: "settlement.veto", Data: data})
		if err != nil {
			return err
		}
	} else if _, err := g.Set(ctx, by, f.Application.ID, Edit{Action: "settlement.veto", Data: data}); err != nil {
		return err
	}
	if _, err := g.Destinations.Register(ctx, d); err != nil && !errors.Is(err, chain.ErrRefused) {
		return fmt.Errorf("veto settlement address: %w", err)
	}
	if _, err := g.Destinations.Veto(ctx, d.Merchant, d.Network, d.Address); err != nil {
		return fmt.Errorf("veto settlement address: %w", err)
	}
	return nil
}

// Try sends a sample callback of an invoice that there is not to a URL under a registered web service URL. It changes nothing.
// Errors: malformed, url-not-registered, no-such-call.
func (g *Integrator) Try(ctx context.Context, by By, id payment.ID, url string) (TestCall, error) {
	d, call := g.Desk, TestCall{}
	app, _, err := g.Application(ctx, by, id)
	if err != nil {
		return call, err
	}
	if call.URL, err = d.shopURL(app, "callback_url", url); err != nil {
		return call, err
	}
	var msg payment.Message
	f := payment.Facts{Invoice: payment.Invoice{
		ApplicationID: app.ID, MerchantID: app.MerchantID, OrderID: "test-order", OrderName: "Test", Price: money.Of(money.KRW, samplePrice),
		Language: payment.Korean, CallbackURL: call.URL, Coins: app.Coins,
	}}
	pretend := d.pretend(ctx, f)
	err = d.Store.View(ctx, func(tx Tx) (err error) {
		f.Invoice.ID, f.Invoice.CreatedAt = tx.NewID(), tx.Now()
		call.Fields = payment.Sample(f, tx.Now(), pretend)
		msg.ID = "test_" + string(tx.NewID())
		msg.Secrets, err = openSecrets(d.Sealer, app, tx.Now())
		return err
	})
	if err != nil {
		return call, err
	}
	msg.URL = call.URL
	msg.ContentType, msg.Body = d.Render(1, "success", call.Fields, app.Callback.Encoding)
	call.Answer = d.Sender.Send(ctx, msg)
	return call, nil
}

// samplePrice is the price of the pretended invoice, in won: the guide's.
const samplePrice = 10_500
