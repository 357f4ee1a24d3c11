package web

import (
	"context"
	"log/slog"
	"net"
	"net/http"
)

type closingKey struct{}

// NewServer is a server with the limits of this package. Its live feeds end when it is told to shut down, so that it can.
func NewServer(addr string, h http.Handler, log *slog.Logger) *http.Server {
	closing, end := context.WithCancel(context.Background())
	s := &http.Server{
		Addr: addr, Handler: h,
		ReadHeaderTimeout: ReadHeader, ReadTimeout: Read, WriteTimeout: Write, IdleTimeout: Idle,
		MaxHeaderBytes: MaxHeader,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.Background(), closingKey{}, closing.Done())
		},
	}
	s.RegisterOnShutdown(end)
	return s
}

// Closing is closed when the server of this request shuts down; nil, which never is, outside NewServer's.
func Closing(ctx context.Context) <-chan struct{} {
	c, ok := ctx.Value(closingKey{}).(<-chan struct{})
	if !ok {
		return nil
	}
	return c
}
