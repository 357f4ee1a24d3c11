package ethereum

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/common/hexutil"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/eth/filters"
	"github.com/ethereum/go-ethereum/eth/tracers"
	_ "github.com/ethereum/go-ethereum/eth/tracers/native" // tracers of the debug module
	"github.com/ethereum/go-ethereum/rpc"
)

// endpoint serves JSON-RPC over HTTP. It is apart from geth's own server so that it can go down and come back while
// the chain lives, and so that only the modules named here are reachable.
type endpoint struct {
	log *slog.Logger
	rpc *rpc.Server

	mu      sync.Mutex // guards what follows
	address string     // as bound first, with the port
	server  *http.Server
	done    chan struct{} // closed when server has ended
	closed  bool
}

func (c *Chain) newEndpoint(o Options) (*endpoint, error) {
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return nil, fmt.Errorf("read listen address: %w", err)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, fmt.Errorf("listen on %q: only loopback addresses are allowed", o.Listen)
	}
	server, err := c.newRPC(o.Debug)
	if err != nil {
		return nil, fmt.Errorf("register JSON-RPC: %w", err)
	}
	e := &endpoint{log: c.log, rpc: server, address: o.Listen}
	return e, e.resume()
}

// newRPC registers the modules eth, net, web3, txpool and, if asked, debug.
func (c *Chain) newRPC(debug bool) (*rpc.Server, error) {
	server := rpc.NewServer()
	server.SetBatchLimits(rpcBatchItems, rpcBatchBytes)
	server.SetHTTPBodyLimit(rpcBody)
	apis := c.eth.APIs()
	if debug {
		apis = append(apis, tracers.APIs(c.eth.APIBackend)...)
	}
	filter := filters.NewFilterAPI(filters.NewFilterSystem(c.eth.APIBackend, filters.Config{LogQueryLimit: 1_000}))
	apis = append(apis,
		rpc.API{Namespace: "eth", Service: filter},
		rpc.API{Namespace: "eth", Service: &sendAPI{c}}, // last: they take the place of geth's methods
		rpc.API{Namespace: "eth", Service: &feeAPI{c}},
		rpc.API{Namespace: "web3", Service: &web3API{c}},
	)
	for _, api := range apis {
		switch api.Namespace {
		case "eth", "net", "web3", "txpool":
		case "debug":
			if !debug {
				continue
			}
		default:
			continue
		}
		if err := server.RegisterName(api.Namespace, api.Service); err != nil {
			return nil, err
		}
	}
	return server, nil
}

func (e *endpoint) url() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return "http://" + e.address
}

// ServeHTTP refuses requests under a foreign host name, with which a web page could reach a loopback port.
func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host != "localhost" && net.ParseIP(host) == nil {
		http.Error(w, "host not allowed", http.StatusForbidden)
		return
	}
	e.rpc.ServeHTTP(w, r)
}

func (e *endpoint) resume() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	if e.server != nil {
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", e.address)
	if err != nil {
		return fmt.Errorf("listen for JSON-RPC: %w", err)
	}
	e.address = listener.Addr().String()
	server := &http.Server{
		Handler:           e,
		ReadHeaderTimeout: rpcHeaderTimeout,
		ReadTimeout:       rpcReadTimeout,
		WriteTimeout:      rpcWriteTimeout,
		IdleTimeout:       rpcIdleTimeout,
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			e.log.Error("local Ethereum JSON-RPC ended", "err", err)
		}
	}()
	e.server, e.done = server, done
	return nil
}

func (e *endpoint) pause() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return ErrClosed
	}
	return e.stop(func(s *http.Server) error { return s.Close() })
}

// close lets requests under way finish for a moment.
func (e *endpoint) close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	defer e.rpc.Stop()
	return e.stop(func(s *http.Server) error {
		ctx, cancel := context.WithTimeout(context.Background(), rpcCloseTimeout)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			return s.Close()
		}
		return nil
	})
}

func (e *endpoint) stop(how func(*http.Server) error) error {
	if e.server == nil {
		return nil
	}
	err := how(e.server)
	<-e.done
	e.server = nil
	if err != nil {
		return fmt.Errorf("stop JSON-RPC: %w", err)
	}
	return nil
}

// sendAPI takes transactions in, so that they are logged before the sender hears of success.
type sendAPI struct{ chain *Chain }

// SendRawTransaction is eth_sendRawTransaction.
func (a *sendAPI) SendRawTransaction(ctx context.Context, input hexutil.Bytes) (common.Hash, error) {
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(input); err != nil {
		return common.Hash{}, err
	}
	if tx.Type() == types.BlobTxType {
		return common.Hash{}, errors.New("blob transactions are not supported by this chain")
	}
	if !tx.Protected() {
		return common.Hash{}, errors.New("only replay-protected (EIP-155) transactions allowed over RPC")
	}
	if err := a.chain.lock(ctx); err != nil {
		return common.Hash{}, err
	}
	defer a.chain.mu.Unlock()
	fault := a.chain.nextFault()
	switch fault {
	case SendForgotten:
		return tx.Hash(), nil
	case SendRefused:
		return common.Hash{}, errFault
	case SendLost: // after it was taken
	}
	if err := a.chain.submit(tx); err != nil {
		return common.Hash{}, err
	}
	if fault == SendLost {
		return common.Hash{}, errFault
	}
	return tx.Hash(), nil
}

// SendRawTransactionSync is eth_sendRawTransactionSync (EIP-7966), which this chain does not offer: nothing would mine
// the transaction while the sender waits.
func (a *sendAPI) SendRawTransactionSync(context.Context, hexutil.Bytes) (common.Hash, error) {
	return common.Hash{}, errors.New("eth_sendRawTransactionSync is not supported by this chain")
}

// web3API is geth's web3 module.
type web3API struct{ chain *Chain }

// ClientVersion is web3_clientVersion.
func (a *web3API) ClientVersion() string { return a.chain.node.Server().Name }

// Sha3 is web3_sha3.
func (a *web3API) Sha3(input hexutil.Bytes) hexutil.Bytes { return crypto.Keccak256(input) }
