package admin

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// storyPage is one invoice: what is, and what happened, in one order of time.
type storyPage struct {
	frame
	engine.Story
	Moments   []moment
	CanRefund bool
	Curls     []curl
	JSON      string // as invoice/get prints it
}

// A moment is something that happened. Who is a key of the texts, or a person's address as it is.
type moment struct {
	At        time.Time
	Who, What string
	Lines     []string
	Class     string
	TxID      string
	Link      string
}

// invoice shows one payment.
func (d *door) invoice(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.showStory(w, r, v, nil)
}

// showStory renders the payment that the path names; with changes what is shown.
func (d *door) showStory(w http.ResponseWriter, r *http.Request, v *visit, with func(*storyPage)) error {
	s, err := d.Desk.Story(r.Context(), v.Merchant.ID, payment.ID(r.PathValue("id")))
	if err != nil {
		return err
	}
	p := storyPage{frame: d.frame(r, v, "story.title"), Story: s}
	p.Moments, p.Curls = d.moments(v, s), d.curls(s)
	if p.JSON, err = d.printed(s); err != nil {
		return err
	}
	_, err = d.Desk.RefundCost(r.Context(), v.Merchant.ID, s.Invoice.ID)
	p.CanRefund = err == nil && v.May(payment.MayRefund)
	if with != nil {
		with(&p)
	}
	return d.render(w, r, "story", p)
}

// moments are all that happened to an invoice, the first first.
func (d *door) moments(v *visit, s engine.Story) []moment {
	t := teller{d, v.texts, s}
	var all []moment
	for _, e := range s.Events {
		all = append(all, t.event(e))
	}
	for _, q := range s.Quotes {
		all = append(all, t.quote(q))
	}
	for _, x := range s.Deposits {
		all = append(all, t.deposit(x)...)
	}
	for _, c := range s.Callbacks {
		all = append(all, t.callback(c)...)
	}
	for _, w := range s.Wrong {
		all = append(all, moment{At: w.SeenAt, Who: t.Say("story.who.payer"), What: t.Say("story.wrong"), Class: "bad", TxID: w.TxID, Link: d.explorer(w.Network, w.TxID)})
	}
	kept := map[string]bool{}
	for _, n := range s.Notes {
		kept[string(n.ID)] = true
		all = append(all, moment{At: n.CreatedAt, Who: n.Author, What: t.Say("story.note"), Lines: strings.Split(n.Text, "\n")})
	}
	for _, r := range s.Records {
		if r.Action == engine.ActNote && kept[noteOf(r)] {
			continue // the note tells it
		}
		all = append(all, moment{At: r.At, Who: r.Actor, What: t.Say("story.act." + actKey(r.Action)), Lines: []string{r.IP}})
	}
	slices.SortStableFunc(all, func(a, b moment) int { return a.At.Compare(b.At) })
	return all
}

// noteOf is the note that a record of the audit log speaks of.
func noteOf(r payment.AuditRecord) string {
	var data struct {
		Note string `json:"note"`
	}
	if err := json.Unmarshal([]byte(r.Data), &data); err != nil {
		return ""
	}
	return data.Note
}

// actKey is how the texts call an act of the audit log.
func actKey(action string) string {
	switch action {
	case "refund.ask", "callback.resend", engine.ActNote, "note.remove", "need.handled":
		return action
	}
	return "other"
}

// A teller puts what happened into words.
type teller struct {
	*door
	web.Catalogue
	story engine.Story
}

func (t teller) event(e payment.Event) moment {
	m := moment{At: e.At, Who: t.Say("story.who.pipe"), What: t.Say("story.event." + string(e.Kind))}
	switch e.Kind {
	case payment.EventCreated:
		m.Who, m.Lines = t.Say("story.who.shop"), []string{t.Price(t.story.Invoice.Price)}
	case payment.EventQuoted, payment.EventCancelled, payment.EventRefundAddress:
		m.Who, m.Lines = t.Say("story.who.payer"), []string{e.Data["address"]}
	case payment.EventPaid:
		m.Class = "good"
	case payment.EventReversed:
		m.Class = "bad"
	case payment.EventPayout:
		m.What = t.Say("payout.kind." + e.Data["kind"])
		m.Lines = []string{t.Say("payout.state." + e.Data["state"])}
		if held := e.Data["held"]; held != "" {
			m.Lines = append(m.Lines, t.Say("hold."+held))
		}
		if e.Data["amount"] != "" {
			m.Lines = append(m.Lines, e.Data["amount"]+" "+e.Data["coin"])
		}
		m.TxID = e.Data["txid"]
		for _, p := range t.story.Payouts {
			if string(p.ID) == e.Data["payout"] {
				m.Link = t.explorer(p.Network, m.TxID)
			}
		}
	case payment.EventDeposit, payment.EventConfirming, payment.EventExpired, payment.EventRefunded, payment.EventRestored, payment.EventChanged:
	}
	if n, err := strconv.ParseUint(e.Data["marks"], 10, 8); err == nil {
		for _, word := range (frame{}).MarksOf(payment.Marks(n)) {
			m.Lines = append(m.Lines, t.Say("payment.mark."+word))
		}
	}
	m.Lines = slices.DeleteFunc(m.Lines, func(line string) bool { return line == "" })
	return m
}

// quote tells the rate and who said it.
func (t teller) quote(q payment.Quote) moment {
	var sources []string
	for _, vote := range q.Votes {
		if vote.Counted {
			sources = append(sources, vote.Source+" "+vote.Value)
		}
	}
	return moment{At: q.CreatedAt, Who: t.Say("story.who.pipe"), What: t.Say("story.rate"), Lines: []string{
		web.Coin(q.Due), q.Rate.String(), strings.Join(sources, " · "), t.Say("story.until", "time", t.Time(q.Deadline, t.Zone)), q.Address,
	}}
}

// deposit tells when coins were seen and when a block took them in; what became of them since is told by the events.
func (t teller) deposit(x payment.Deposit) []moment {
	m := moment{At: x.SeenAt, Who: t.Say("story.who.chain"), What: t.Say("story.seen"), Lines: []string{web.Coin(x.Amount)}, TxID: x.TxID, Link: t.explorer(x.Network, x.TxID)}
	if !x.Live() {
		m.Class = "bad"
		m.Lines = append(m.Lines, t.Say("deposit.state."+string(x.State)))
	}
	if x.From != "" {
		m.Lines = append(m.Lines, t.Say("story.from", "address", x.From))
	}
	all := []moment{m}
	if x.Height > 0 {
		at := x.BlockTime
		if at.Before(x.SeenAt) {
			at = x.SeenAt // clocks of miners are not ours
		}
		all = append(all, moment{At: at, Who: t.Say("story.who.chain"), What: t.Say("story.block", "height", x.Height), Lines: []string{
			web.Coin(x.Amount), t.Say("story.blocks", "n", t.story.Have(x)),
		}})
	}
	return all
}

// callback tells when it was written, and every try.
func (t teller) callback(c engine.ToldStory) []moment {
	name := t.Say("story.callback", "n", c.Seq)
	all := []moment{{At: c.CreatedAt, Who: t.Say("story.who.pipe"), What: name, Lines: []string{t.Told(c.Callback), c.URL}}}
	for _, try := range c.Tries {
		m := moment{At: try.At, Who: t.Say("story.who.webshop"), What: t.Say("story.try", "n", c.Seq, "try", try.N), Class: "bad",
			Lines: []string{httpLine(try), t.verdict(t.Catalogue, try.Verdict)}}
		if try.Verdict == delivered {
			m.Class = "good"
		}
		all = append(all, m)
	}
	return all
}

// Told is what a callback says.
func (t teller) Told(c payment.Callback) string {
	if c.PayoutID != "" {
		return t.Say("callback.refund." + strconv.Itoa(c.Status))
	}
	return t.Say("payment.status." + strconv.Itoa(c.Status))
}

// delivered is the verdict of package webhook on a good answer.
const delivered = "delivered"

func httpLine(a payment.Attempt) string {
	text := strconv.FormatInt(a.Took.Milliseconds(), 10) + " ms"
	if a.HTTPStatus != 0 {
		text = "HTTP " + strconv.Itoa(a.HTTPStatus) + " · " + text
	}
	return text
}

type refundPage struct {
	frame
	ID   payment.ID
	Cost engine.RefundCost
}

// refundForm shows what a refund would be before it is asked for.
func (d *door) refundForm(w http.ResponseWriter, r *http.Request, v *visit) error {
	return d.refundFormAgain(w, r, v, nil)
}

func (d *door) refundFormAgain(w http.ResponseWriter, r *http.Request, v *visit, why error) error {
	p := refundPage{frame: d.frame(r, v, "refund.title"), ID: payment.ID(r.PathValue("id"))}
	var err error
	if p.Cost, err = d.Desk.RefundCost(r.Context(), v.Merchant.ID, p.ID); why == nil {
		why = err
	}
	if why != nil {
		s, status, ok := d.refusal(v, why)
		if !ok || status == http.StatusNotFound {
			return why
		}
		p.Error, p.Status = s, status
	}
	return d.render(w, r, "refund", p)
}

// refund asks for the refund of a paid invoice.
func (d *door) refund(w http.ResponseWriter, r *http.Request, v *visit) error {
	id := payment.ID(r.PathValue("id"))
	if _, err := d.Desk.RefundInvoice(r.Context(), v.By, id); err != nil {
		return d.refundFormAgain(w, r, v, err)
	}
	return done(w, r, "/payments/"+string(id), "refund")
}
