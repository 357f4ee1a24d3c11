package bitcoind

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// Codes of Bitcoin Core's rpc/protocol.h that are told apart here.
const (
	codeMisc          = -1
	codeUnknown       = -5
	codeNoFunds       = -6
	codeWalletError   = -4
	codeInvalidParam  = -8
	codeTxRejected    = -26
	codeTxUnspendable = -25
)

// rpcError is the node's own answer that a call failed.
type rpcError struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

func (e *rpcError) Error() string { return fmt.Sprintf("%s (%d)", e.Message, e.Code) }

// call asks the node; params is a list, a map of named parameters, or nil; result may be nil.
func (n *Node) call(ctx context.Context, method string, params, result any) error {
	if n.cmd == nil {
		return ErrDown
	}
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"id": method, "method": method, "params": params})
	if err != nil {
		return fmt.Errorf("encode %s: %w", method, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.URL(), bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask %s: %w", method, err)
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask %s: %w", method, err)
	}
	defer func() {
		if err := resp.Body.Close(); err != nil {
			n.log.Debug("close answer", "err", err)
		}
	}()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswerBytes))
	if err != nil {
		return fmt.Errorf("read answer to %s: %w", method, err)
	}
	var answer struct {
		Result json.RawMessage `json:"result"`
		Error  *rpcError       `json:"error"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("decode answer to %s (HTTP %d): %w", method, resp.StatusCode, err)
	}
	if answer.Error != nil {
		return fmt.Errorf("%s: %w", method, answer.Error)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Result, result); err != nil {
		return fmt.Errorf("decode result of %s: %w", method, err)
	}
	return nil
}
