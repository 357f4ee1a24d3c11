package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/pipe-pg/pipe/internal/api"
	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/checkout"
	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/web"
	"github.com/pipe-pg/pipe/internal/webhook"
	"github.com/pipe-pg/pipe/internal/worker"
)

// A Panel adds something to every payment page; see package checkout.
type Panel = checkout.Panel

// explorers link to a transaction, for payers who want to see it with other eyes.
func explorers() map[money.Network]string {
	return map[money.Network]string{
		"bitcoin/mainnet":   "https://mempool.space/tx/{txid}",
		"bitcoin/testnet4":  "https://mempool.space/testnet4/tx/{txid}",
		"bitcoin/signet":    "https://mempool.space/signet/tx/{txid}",
		"ethereum/1":        "https://etherscan.io/tx/{txid}",
		"ethereum/11155111": "https://sepolia.etherscan.io/tx/{txid}",
	}
}

// openServers builds the handlers of the roles api, checkout and admin.
func (a *App) openServers() error {
	proxies, err := prefixes(a.Config.Proxies)
	if err != nil {
		return fmt.Errorf("PIPE_TRUSTED_PROXIES: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", a.healthz)
	peers := web.Peers{Proxies: proxies}
	if a.Config.Has("api") {
		h, err := api.New(api.Options{
			Desk: a.Desk, PublicURL: a.Config.PublicURL, Peers: peers, Log: a.log, Now: a.opts.Now, RatePerKey: a.Config.RatePerKey,
			Explain: func(verdict, language string) string { return webhook.Verdict(verdict).Explain(language) },
		})
		if err != nil {
			return err
		}
		mux.Handle("/api/", h)
		mux.Handle("/openapi.json", h)
	}
	if a.Config.Has("checkout") {
		if a.Config.PublicURL == "" {
			return errors.New("PIPE_PUBLIC_URL is not set: payment pages need it")
		}
		a.loops = append(a.loops, worker.Loop{Name: "tail", Every: TailEvery, Timeout: StepTimeout, Run: a.tail.Step})
		h, err := checkout.New(checkout.Options{
			Desk: a.Desk, Wakes: a.tail, Nets: a.Nets, PublicURL: a.Config.PublicURL, Peers: peers, Log: a.log,
			Explorers: explorers(), Sandbox: a.sandbox(), Panel: a.opts.Panel,
		})
		if err != nil {
			return err
		}
		mux.Handle("/", h)
	}
	a.handler = mux
	return a.openAdmin(peers)
}

// sandbox tells whether the coins of any network here are worth nothing: this is the test world then, and its keys say so.
func (a *App) sandbox() bool {
	for _, n := range a.Nets {
		if chain.IsTest(n.Network) {
			return true
		}
	}
	return false
}

// healthz says that the process serves and its database answers.
func (a *App) healthz(w http.ResponseWriter, r *http.Request) {
	err := a.ports.store.View(r.Context(), func(tx engine.Tx) error {
		_, err := tx.Merchants("", 1)
		return err
	})
	if err != nil {
		http.Error(w, "database does not answer", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// serve answers requests until ctx is done, then lets those under way end.
func (a *App) serve(ctx context.Context, on net.Listener, h http.Handler) error {
	s := web.NewServer(on.Addr().String(), h, a.log)
	failed := make(chan error, 1)
	go func() {
		if a.Config.TLSCert != "" {
			failed <- s.ServeTLS(on, a.Config.TLSCert, a.Config.TLSKey)
			return
		}
		failed <- s.Serve(on)
	}()
	select {
	case err := <-failed:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), StopWithin)
	defer cancel()
	if err := s.Shutdown(end); err != nil {
		return errors.Join(fmt.Errorf("stop serving: %w", err), s.Close())
	}
	return nil
}
