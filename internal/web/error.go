package web

import (
	"errors"
	"net/http"

	"github.com/pipe-pg/pipe/internal/payment"
)

// failure is what the caller may see of an error: a refusal as it is, anything else as "internal".
func failure(err error) Failure {
	var e *payment.Error
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &e):
	case errors.As(err, &big):
		e = payment.Refuse(payment.Invalid, payment.WordBodyTooBig, "the body has more than %d bytes", big.Limit)
	case errors.Is(err, payment.ErrConflict):
		e = payment.Refuse(payment.Unavailable, payment.WordBusy, "too many changes at once: try again")
	default:
		e = payment.Refuse(payment.Internal, payment.WordInternal, "something went wrong on our side: try again, then name the request id")
	}
	return Failure{Status: Status(e), Err: e}
}

// Status is the HTTP status of a refusal.
func Status(e *payment.Error) int {
	switch e.Word {
	case payment.WordBodyTooBig:
		return http.StatusRequestEntityTooLarge
	case payment.WordEncoding:
		return http.StatusUnsupportedMediaType
	case payment.WordMethod:
		return http.StatusMethodNotAllowed
	}
	switch e.Kind {
	case payment.Invalid:
		return http.StatusBadRequest
	case payment.Unauthorized:
		return http.StatusUnauthorized
	case payment.Forbidden:
		return http.StatusForbidden
	case payment.NotFound:
		return http.StatusNotFound
	case payment.Conflict:
		return http.StatusConflict
	case payment.Limit:
		return http.StatusTooManyRequests
	case payment.Unavailable:
		return http.StatusServiceUnavailable
	case payment.Internal:
		return http.StatusInternalServerError
	}
	return http.StatusInternalServerError
}

// TooMany refuses a caller that is over a limit.
func TooMany() *payment.Error {
	return payment.Refuse(payment.Limit, payment.WordTooMany, "too many requests: wait a minute, then try again")
}
