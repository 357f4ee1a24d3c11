package ethereum

import (
	"context"
	"log/slog"

	"github.com/ethereum/go-ethereum/log"
)

// quietGeth sends geth's log, which is one for the whole process, to l at debug level. Only what makes geth end the
// process is an error.
func quietGeth(l *slog.Logger) {
	// The wrapper keeps log.SetDefault from making this the default of log/slog too.
	log.SetDefault(struct{ log.Logger }{gethLogger(l)})
}

func gethLogger(l *slog.Logger) log.Logger { return log.NewLogger(quietHandler{l.Handler()}) }

type quietHandler struct{ slog.Handler }

func quietLevel(l slog.Level) slog.Level {
	switch {
	case l >= log.LevelCrit:
		return slog.LevelError
	case l < slog.LevelDebug:
		return l
	default:
		return slog.LevelDebug
	}
}

func (h quietHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.Handler.Enabled(ctx, quietLevel(l))
}

func (h quietHandler) Handle(ctx context.Context, r slog.Record) error {
	geth := r.Level
	r.Level = quietLevel(geth)
	r.AddAttrs(slog.String("geth", geth.String()))
	return h.Handler.Handle(ctx, r)
}

func (h quietHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return quietHandler{h.Handler.WithAttrs(attrs)}
}

func (h quietHandler) WithGroup(name string) slog.Handler {
	return quietHandler{h.Handler.WithGroup(name)}
}
