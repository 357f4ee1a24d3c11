package client

import (
	"context"
	"encoding/json"
)

// Statuses of a refund. In progress is broadcast, done is deep enough in the chain.
const RefundRequested, RefundInProgress, RefundDone, RefundFailed = 1, 2, 3, 4

// AskRefund is what asks for a refund of a paid invoice. CallbackURL, which may be "", is told how it goes; best it is another
// one than the invoice's.
type AskRefund struct {
	InvoiceID   string `json:"invoice_id"`
	CallbackURL string `json:"callback_url,omitempty"`
	// IdempotencyKey makes it safe to call again when no answer came: the same key and parameters are the same refund.
	IdempotencyKey string `json:"-"`
}

// Asked is a refund just asked for; CreateTime in Unix seconds.
type Asked struct {
	RefundID   string `json:"refund_id"`
	InvoiceID  string `json:"invoice_id"`
	CreateTime int64  `json:"create_time"`
}

// A Refund is what callbacks tell of a refund: price as it was printed, coins as decimal text ("" while not known), times in
// Unix seconds (0: not yet). Status is the refund's, not the invoice's.
type Refund struct {
	RefundID           string      `json:"refund_id"`
	InvoiceID          string      `json:"invoice_id"`
	OrderID            string      `json:"order_id"`
	OrderName          string      `json:"order_name"`
	PriceCurrency      string      `json:"price_currency"`
	Price              json.Number `json:"price"`
	CoinCurrency       string      `json:"coin_currency"`
	CoinAmount         string      `json:"coin_amount"`
	DepositAddress     string      `json:"deposit_address"`
	RefundAmount       string      `json:"refund_amount"`
	RefundNetworkFee   string      `json:"refund_network_fee"`
	TransactionAddress string      `json:"transaction_address"` // its hash, without 0x
	RefundAddress      string      `json:"refund_address"`
	Status             int         `json:"status"`
	FailReason         string      `json:"fail_reason"`
	CreateTime         int64       `json:"create_time"`
	UpdateTime         int64       `json:"update_time"`
	TransactionDate    int64       `json:"transaction_date"`
	CompleteDate       int64       `json:"complete_date"`
}

// Refund asks for a refund of a paid invoice. Asked again it is an *Error with code 4090, whose Refund is the one that exists;
// after one that failed it may be asked again. Error: *Error.
func (c *Client) Refund(ctx context.Context, r AskRefund) (Asked, error) {
	var asked Asked
	err := c.call(ctx, request{"/api/v1/invoice/refund", r.IdempotencyKey, r}, &asked)
	return asked, err
}
