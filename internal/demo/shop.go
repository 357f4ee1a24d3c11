package demo

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

//go:embed templates/*.html
var templateFiles embed.FS

//go:embed static/*
var staticFiles embed.FS

// A shop is the demo's shop: written from the merchant guide alone, as any merchant's would be. It calls PIPE over HTTP
// and believes only what invoice/get answers.
type shop struct {
	pages  *template.Template
	log    *slog.Logger
	client *http.Client
	file   *os.File // callbacks so far, one JSON object a line

	mu        sync.Mutex // owns all below
	pipeURL   string
	apiKey    string
	self      string // the shop's own origin
	status    int
	body      string
	delay     time.Duration
	callbacks []gotCallback
	wallet    func(context.Context) holdings // of the shop's own wallet
}

// gotCallback is one callback as it came in. Body is the text as received.
type gotCallback struct {
	At      time.Time         `json:"at"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
	Answer  shopAnswer        `json:"answer"`
	OrderID string            `json:"order_id"`
}

type shopAnswer struct {
	Status int    `json:"status"`
	Body   string `json:"body"`
}

// A product is something to buy.
type product struct {
	ID, Name, NameKo, Currency, Price, Shown string
}

var products = []product{
	{"tea", "Green tea from Boseong", "보성 녹차", "KRW", "10500", "₩10,500"},
	{"mug", "Stoneware mug", "도자기 머그컵", "USD", "12.34", "$12.34"},
}

func openShop(path string, log *slog.Logger) (*shop, error) {
	pages, err := template.ParseFS(templateFiles, "templates/shop.html", "templates/mode.html")
	if err != nil {
		return nil, fmt.Errorf("read shop templates: %w", err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open shop's callbacks: %w", err)
	}
	s := &shop{pages: pages, log: log, file: f, client: &http.Client{Timeout: CallTimeout}, status: http.StatusOK, body: "ok"}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 4*MaxBody)
	for lines.Scan() {
		var c gotCallback
		if json.Unmarshal(lines.Bytes(), &c) == nil { // a torn last line is a callback that was never answered
			s.callbacks = append(s.callbacks, c)
		}
	}
	return s, lines.Err()
}

// connect tells the shop where PIPE and itself are, and how to look into its own wallet.
func (s *shop) connect(pipeURL, apiKey, self string, wallet func(context.Context) holdings) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pipeURL, s.apiKey, s.self, s.wallet = pipeURL, apiKey, self, wallet
}

func (s *shop) answerWith(status int, body string, delay time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.body, s.delay = status, body, delay
}

// got is every callback for an order, or all for "".
func (s *shop) got(order string) []gotCallback {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := []gotCallback{}
	for _, c := range s.callbacks {
		if order == "" || c.OrderID == order {
			all = append(all, c)
		}
	}
	return all
}

func (s *shop) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.front)
	s.modePages(mux)
	mux.HandleFunc("POST /buy", s.buy)
	mux.HandleFunc("POST /refund", s.refund)
	mux.HandleFunc("GET /thanks", s.thanks)
	mux.HandleFunc("POST /callback", s.callback)
	mux.HandleFunc("GET /callbacks", s.list)
	static, err := fs.Sub(staticFiles, "static")
	if err == nil {
		mux.Handle("GET /static/", http.StripPrefix("/static/", http.FileServerFS(static)))
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		pipe := s.pipeURL
		s.mu.Unlock()
		// A strict policy, as a careful shop has it: pipe.js must work under it.
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self' "+pipe+
			"; script-src 'self' "+pipe+"; connect-src 'self' "+pipe+"; frame-src "+pipe+"; base-uri 'none'")
		mux.ServeHTTP(w, r)
	})
}

func (s *shop) show(w http.ResponseWriter, name string, data map[string]any) {
	s.mu.Lock()
	data["Pipe"] = s.pipeURL
	s.mu.Unlock()
	var page bytes.Buffer
	if err := s.pages.ExecuteTemplate(&page, name, data); err != nil {
		s.log.Error("shop page failed", "page", name, "error", err)
		http.Error(w, "the shop's page failed", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	if _, err := w.Write(page.Bytes()); err != nil {
		return // the visitor went away
	}
}

func (s *shop) front(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	wallet := s.wallet
	s.mu.Unlock()
	s.show(w, "front", map[string]any{"Products": products, "Modes": modes(), "Callbacks": s.latest(20), "Wallet": wallet(r.Context())})
}

func (s *shop) latest(n int) []gotCallback {
	all := s.got("")
	slices.Reverse(all)
	return all[:min(n, len(all))]
}

func (s *shop) list(w http.ResponseWriter, _ *http.Request) {
	s.show(w, "callbacks", map[string]any{"Callbacks": s.latest(200)})
}

// buy opens an invoice with one call and sends the visitor to its page, or tells the script its URL.
func (s *shop) buy(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, MaxBody)
	i := slices.IndexFunc(products, func(p product) bool { return p.ID == r.FormValue("product") })
	if i < 0 {
		http.Error(w, "no such product", http.StatusBadRequest)
		return
	}
	p := products[i]
	s.mu.Lock()
	self := s.self
	s.mu.Unlock()
	order := "O" + time.Now().Format("20060102150405.000000")
	data, err := s.call(r.Context(), "invoice/create", map[string]string{
		"price_currency": p.Currency, "price": p.Price, "order_id": order, "order_name": p.Name, "language": r.FormValue("language"),
		"callback_url": self + "/callback", "redirect_url": self + "/thanks?order=" + url.QueryEscape(order),
		"open_type": r.FormValue("open_type"),
	})
	if err != nil {
		http.Error(w, "PIPE refused: "+err.Error(), http.StatusBadGateway)
		return
	}
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		writeJSON(w, http.StatusOK, data)
		return
	}
	http.Redirect(w, r, fmt.Sprint(data["invoice_url"]), http.StatusSeeOther)
}

// thanks is where the payer comes back to. What the URL says is not believed: PIPE is asked.
func (s *shop) thanks(w http.ResponseWriter, r *http.Request) {
	data, err := s.call(r.Context(), "invoice/get", map[string]string{"invoice_id": r.URL.Query().Get("invoice_id")})
	page := map[string]any{"Order": r.URL.Query().Get("order"), "Invoice": data}
	if err != nil {
		page["Error"] = err.Error()
	}
	s.show(w, "thanks", page)
}

// callback takes in a callback, keeps it durably, and answers as it was told to.
func (s *shop) callback(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody))
	if err != nil {
		http.Error(w, "read callback", http.StatusBadRequest)
		return
	}
	c := gotCallback{At: time.Now().UTC(), Headers: map[string]string{}, Body: string(body), OrderID: orderOf(r, body)}
	for name := range r.Header {
		c.Headers[strings.ToLower(name)] = r.Header.Get(name)
	}
	s.mu.Lock()
	c.Answer = shopAnswer{s.status, s.body}
	delay := s.delay
	err = s.keep(c)
	s.mu.Unlock()
	if err != nil {
		http.Error(w, "keep callback", http.StatusInternalServerError)
		return
	}
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
		return
	}
	w.WriteHeader(c.Answer.Status)
	if _, err := io.WriteString(w, c.Answer.Body); err != nil {
		return // the caller went away
	}
}

// keep writes a callback to disk before it is answered, so that what was answered "ok" is never forgotten. The caller
// holds mu.
func (s *shop) keep(c gotCallback) error {
	if len(s.callbacks) >= MaxCallbacks {
		return errors.New("the shop remembers no more callbacks")
	}
	line, err := json.Marshal(c)
	if err != nil {
		return err
	}
	if _, err := s.file.Write(append(line, '\n')); err != nil {
		return err
	}
	if err := s.file.Sync(); err != nil {
		return err
	}
	s.callbacks = append(s.callbacks, c)
	return nil
}

func orderOf(r *http.Request, body []byte) string {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return ""
		}
		return form.Get("data[order_id]")
	}
	var told struct {
		Data struct {
			OrderID string `json:"order_id"`
		} `json:"data"`
	}
	if json.Unmarshal(body, &told) != nil {
		return ""
	}
	return told.Data.OrderID
}

// call is one call of the API as the guide prints it: multipart.
func (s *shop) call(ctx context.Context, name string, fields map[string]string) (map[string]any, error) {
	s.mu.Lock()
	base, key := s.pipeURL, s.apiKey
	s.mu.Unlock()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	err := form.WriteField("api_key", key)
	for name, value := range fields {
		if value != "" {
			err = errors.Join(err, form.WriteField(name, value))
		}
	}
	if err = errors.Join(err, form.Close()); err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/v1/"+name, &body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", form.FormDataContentType())
	resp, err := s.client.Do(req)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Code    int            `json:"code"`
		Message string         `json:"message"`
		Data    map[string]any `json:"data"`
	}
	dec := json.NewDecoder(io.LimitReader(resp.Body, MaxBody))
	dec.UseNumber()
	if err := errors.Join(dec.Decode(&answer), resp.Body.Close()); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	if answer.Code != 1 {
		return nil, fmt.Errorf("%d %s", answer.Code, answer.Message)
	}
	return answer.Data, nil
}
