package api

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/web"
)

// authorize finds the application that calls, and its key. Errors: malformed, unknown-key, ip-not-registered, too-many-requests.
func (a *api) authorize(w http.ResponseWriter, r *http.Request, f form) (payment.Application, payment.Key, error) {
	text, err := apiKey(r.Header, f)
	if err != nil {
		return payment.Application{}, payment.Key{}, err
	}
	app, key, err := a.desk.Authorize(r.Context(), text, web.PeerAddr(r.Context()))
	if err != nil {
		return app, key, err
	}
	web.Note(r.Context(), slog.String("application_id", string(app.ID)))
	return app, key, a.allow(w, a.perKey, string(app.ID))
}

// apiKey is the key of a call, from the body's api_key or the header Authorization (RFC 6750). Both may be sent when they
// are equal.
func apiKey(h http.Header, f form) (string, error) {
	inBody, err := f.text("api_key")
	if err != nil {
		return "", err
	}
	headers := h.Values("Authorization")
	if len(headers) == 0 {
		return inBody, nil
	}
	scheme, inHeader, _ := strings.Cut(headers[0], " ")
	inHeader = strings.TrimSpace(inHeader)
	switch {
	case len(headers) > 1, !strings.EqualFold(scheme, "Bearer"), inHeader == "":
		return "", payment.Malformed("Authorization", "must be Bearer and the api key, once")
	case inBody != "" && inBody != inHeader:
		return "", payment.Malformed("api_key", "differs from the key in Authorization: send only one")
	}
	return inHeader, nil
}

// allow takes from a limiter. Error: too-many-requests, with Retry-After in whole seconds.
func (a *api) allow(w http.ResponseWriter, l *web.Limiter, key string) error {
	ok, wait := l.Allow(key, a.now())
	if ok {
		return nil
	}
	seconds := int((wait + time.Second - 1) / time.Second)
	w.Header().Set("Retry-After", strconv.Itoa(max(seconds, 1)))
	return payment.Refuse(payment.Limit, payment.WordTooMany, "too many requests: wait %d seconds, then call again", max(seconds, 1))
}

// idempotencyKey is the header of that name, "" when it is absent. Error: malformed.
func idempotencyKey(h http.Header) (string, error) {
	keys := h.Values("Idempotency-Key")
	switch {
	case len(keys) == 0:
		return "", nil
	case len(keys) > 1:
		return "", payment.Malformed("Idempotency-Key", "is sent twice: send it once")
	case keys[0] == "":
		return "", payment.Malformed("Idempotency-Key", "is empty: send a text that is new for each invoice or refund, or leave the header out")
	}
	return keys[0], nil
}

// A call is a request of an application, whatever its encoding was.
type call struct {
	app    payment.Application
	key    payment.Key
	form   form
	header http.Header
	korean bool
}

// A handler does what a call asks. Its context carries the request id.
type handler func(ctx context.Context, w http.ResponseWriter, c call) (answer, error)

// serve is the way of every call to its handler: method, limit per address, body, key, address, limit per application.
func (a *api) serve(h handler) web.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if done, err := onlyPost(w, r); done || err != nil {
			return err
		}
		ctx := r.Context()
		if err := a.allow(w, a.perIP, web.Caller(web.PeerAddr(ctx))); err != nil {
			return err
		}
		f, err := a.bodies.form(w, r)
		if err != nil {
			return err
		}
		app, key, err := a.authorize(w, r, f)
		if err != nil {
			return err
		}
		said, err := h(ctx, w, call{app, key, f, r.Header, wantsKorean(r)})
		if err != nil {
			return err
		}
		return send(w, said)
	}
}

// onlyPost refuses other methods, and answers OPTIONS (RFC 9110, 9.3.7). There is no CORS: keys stay on servers.
func onlyPost(w http.ResponseWriter, r *http.Request) (done bool, err error) {
	if r.Method == http.MethodPost {
		return false, nil
	}
	w.Header().Set("Allow", "OPTIONS, POST")
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return true, nil
	}
	return false, payment.Refuse(payment.Invalid, payment.WordMethod, "%s is not taken here: call with POST", shown(r.Method))
}
