package signer

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/money"
)

// Config is everything that a signer of its own can be told, by its keys. For the key marked secret, KEY_FILE
// names a file that holds the value. A key that begins with PIPE_SIGNER_ and is not here is an error. Of the gateway's own
// keys it knows PIPE_DATA, whose default is ./data.
type Config struct {
	Dir        string `key:"PIPE_SIGNER_DIR" default:"" help:"Directory of the encrypted seed and the journal; empty: signer in PIPE_DATA."`
	Passphrase string `key:"PIPE_SIGNER_PASSPHRASE" default:"" secret:"true" help:"Opens the encrypted seed. Better: PIPE_SIGNER_PASSPHRASE_FILE."`
	Socket     string `key:"PIPE_SIGNER_SOCKET" default:"" help:"Socket on which pipe serve asks, mode 0660; empty: signer.sock in PIPE_DATA."`
	Group      string `key:"PIPE_SIGNER_GROUP" default:"" help:"Group that may use PIPE_SIGNER_SOCKET; empty: the signer's own."`
	Operator   string `key:"PIPE_SIGNER_OPERATOR_SOCKET" default:"" help:"Socket of the signer's operator, mode 0600; empty: operator.sock in PIPE_SIGNER_DIR."`

	Approve          bool          `key:"PIPE_SIGNER_APPROVE" default:"true" help:"Every destination waits for pipe signer approve before its delay begins."`
	DestinationDelay time.Duration `key:"PIPE_SIGNER_DESTINATION_DELAY" default:"24h" help:"From registration or approval until a destination is payable."`
	RefundDelay      time.Duration `key:"PIPE_SIGNER_REFUND_DELAY" default:"30m" help:"For refunds above PIPE_SIGNER_*_REFUND_FREE."`
	SettleShare      string        `key:"PIPE_SIGNER_SETTLE_FEE_SHARE" default:"5" help:"The most of a settlement that goes to the network, in percent."`
	WithdrawShare    string        `key:"PIPE_SIGNER_WITHDRAW_FEE_SHARE" default:"20" help:"The same for withdrawals."`

	BTCFeeRate     string `key:"PIPE_SIGNER_BTC_FEE_RATE" default:"500" help:"Highest fee rate, in satoshi per virtual byte."`
	BTCFee         string `key:"PIPE_SIGNER_BTC_FEE" default:"0.02" help:"Highest fee of a transaction, in BTC."`
	BTCSettle      string `key:"PIPE_SIGNER_BTC_SETTLE" default:"5" help:"Most that one transaction settles, in BTC."`
	BTCSettleDay   string `key:"PIPE_SIGNER_BTC_SETTLE_DAY" default:"20" help:"The same per merchant and day."`
	BTCWithdraw    string `key:"PIPE_SIGNER_BTC_WITHDRAW" default:"0.5" help:"Most that one transaction withdraws, in BTC."`
	BTCWithdrawDay string `key:"PIPE_SIGNER_BTC_WITHDRAW_DAY" default:"2" help:"The same per merchant and day."`
	BTCRefund      string `key:"PIPE_SIGNER_BTC_REFUND" default:"0.1" help:"Largest refund without approval, in BTC."`
	BTCRefundDay   string `key:"PIPE_SIGNER_BTC_REFUND_DAY" default:"0.5" help:"Refunds per merchant and day."`
	BTCRefundAll   string `key:"PIPE_SIGNER_BTC_REFUND_ALL" default:"2" help:"Refunds of all merchants per day."`
	BTCRefundFree  string `key:"PIPE_SIGNER_BTC_REFUND_FREE" default:"0.05" help:"Refunds per merchant and day without delay."`
	BTCGatherFee   string `key:"PIPE_SIGNER_BTC_GATHER_FEE" default:"0.05" help:"Network fees per merchant and day for moving a wallet's own coins together."`

	ETHFeeRate     string `key:"PIPE_SIGNER_ETH_FEE_RATE" default:"500" help:"Highest fee per gas, in gwei."`
	ETHFee         string `key:"PIPE_SIGNER_ETH_FEE" default:"0.05" help:"Highest fee of a transaction, in ETH."`
	ETHSettle      string `key:"PIPE_SIGNER_ETH_SETTLE" default:"100" help:"Most that one transaction settles, in ETH."`
	ETHSettleDay   string `key:"PIPE_SIGNER_ETH_SETTLE_DAY" default:"400" help:"The same per merchant and day."`
	ETHWithdraw    string `key:"PIPE_SIGNER_ETH_WITHDRAW" default:"10" help:"Most that one transaction withdraws, in ETH."`
	ETHWithdrawDay string `key:"PIPE_SIGNER_ETH_WITHDRAW_DAY" default:"40" help:"The same per merchant and day."`
	ETHRefund      string `key:"PIPE_SIGNER_ETH_REFUND" default:"2" help:"Largest refund without approval, in ETH."`
	ETHRefundDay   string `key:"PIPE_SIGNER_ETH_REFUND_DAY" default:"10" help:"Refunds per merchant and day."`
	ETHRefundAll   string `key:"PIPE_SIGNER_ETH_REFUND_ALL" default:"40" help:"Refunds of all merchants per day."`
	ETHRefundFree  string `key:"PIPE_SIGNER_ETH_REFUND_FREE" default:"1" help:"Refunds per merchant and day without delay."`
	ETHGatherFee   string `key:"PIPE_SIGNER_ETH_GATHER_FEE" default:"1" help:"Network fees per merchant and day for moving a wallet's own coins together."`
}

// LoadConfig reads the environment. Keys without PIPE_SIGNER_ are not looked at. Errors name the key and say what to write.
func LoadConfig(environ []string) (Config, error) {
	values, data := map[string]string{}, "./data"
	for _, kv := range environ {
		k, v, ok := strings.Cut(kv, "=")
		if ok && strings.HasPrefix(k, "PIPE_SIGNER_") {
			values[k] = v
		}
		if ok && k == "PIPE_DATA" && v != "" {
			data = v
		}
	}
	var c Config
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		if err := setKey(v.Field(i), tag, values); err != nil {
			return c, fmt.Errorf("%s: %w", tag.Get("key"), err)
		}
	}
	for k := range values {
		return c, fmt.Errorf("%s: the signer has no such setting; `pipe signer config` lists them all", k)
	}
	c.Dir, c.Socket = cmp.Or(c.Dir, filepath.Join(data, "signer")), cmp.Or(c.Socket, filepath.Join(data, "signer.sock"))
	if c.Operator == "" {
		c.Operator = filepath.Join(c.Dir, operatorName)
	}
	_, err := c.Policy()
	return c, err
}

// setKey takes a field's value out of the values.
func setKey(f reflect.Value, tag reflect.StructTag, values map[string]string) error {
	key := tag.Get("key")
	text := values[key]
	delete(values, key)
	if file := values[key+"_FILE"]; tag.Get("secret") != "" && file != "" {
		b, err := readPassphrase(file)
		if err != nil {
			return err
		}
		text = b
		delete(values, key+"_FILE")
	}
	if text == "" {
		text = tag.Get("default")
	}
	switch f.Interface().(type) {
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return fmt.Errorf("%q is not a duration like 30m or 24h", text)
		}
		f.SetInt(int64(d))
	case bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is not true or false", text)
		}
		f.SetBool(b)
	default:
		f.SetString(text)
	}
	return nil
}

func readPassphrase(file string) (text string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("read passphrase: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	b, err := io.ReadAll(io.LimitReader(f, MaxPassphrase+2))
	if err != nil {
		return "", fmt.Errorf("read passphrase: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// Print writes the configuration in force, each line with what it means, secrets covered.
func (c Config) Print(w io.Writer) error {
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		tag := v.Type().Field(i).Tag
		value := fmt.Sprint(v.Field(i).Interface())
		if tag.Get("secret") != "" && value != "" {
			value = covered
		}
		if _, err := fmt.Fprintf(w, "# %s\n%s=%s\n", tag.Get("help"), tag.Get("key"), value); err != nil {
			return fmt.Errorf("print settings: %w", err)
		}
	}
	return nil
}

// Policy is the policy that the configuration asks for.
func (c Config) Policy() (Policy, error) {
	r := &settingReader{}
	p := Policy{Approve: c.Approve, DestinationDelay: c.DestinationDelay, RefundDelay: c.RefundDelay,
		SettleShare: r.percent("PIPE_SIGNER_SETTLE_FEE_SHARE", c.SettleShare), WithdrawShare: r.percent("PIPE_SIGNER_WITHDRAW_FEE_SHARE", c.WithdrawShare)}
	r.coin = money.BTC
	p.BTC = Caps{FeeRate: r.whole("FEE_RATE", c.BTCFeeRate, 1000), Fee: r.amount("FEE", c.BTCFee), Settle: r.amount("SETTLE", c.BTCSettle),
		SettleDay: r.amount("SETTLE_DAY", c.BTCSettleDay), Withdraw: r.amount("WITHDRAW", c.BTCWithdraw), WithdrawDay: r.amount("WITHDRAW_DAY", c.BTCWithdrawDay),
		Refund: r.amount("REFUND", c.BTCRefund), RefundDay: r.amount("REFUND_DAY", c.BTCRefundDay), RefundAll: r.amount("REFUND_ALL", c.BTCRefundAll),
		RefundFree: r.amount("REFUND_FREE", c.BTCRefundFree), GatherFee: r.amount("GATHER_FEE", c.BTCGatherFee)}
	r.coin = money.ETH
	p.ETH = Caps{FeeRate: r.whole("FEE_RATE", c.ETHFeeRate, 1e9), Fee: r.amount("FEE", c.ETHFee), Settle: r.amount("SETTLE", c.ETHSettle),
		SettleDay: r.amount("SETTLE_DAY", c.ETHSettleDay), Withdraw: r.amount("WITHDRAW", c.ETHWithdraw), WithdrawDay: r.amount("WITHDRAW_DAY", c.ETHWithdrawDay),
		Refund: r.amount("REFUND", c.ETHRefund), RefundDay: r.amount("REFUND_DAY", c.ETHRefundDay), RefundAll: r.amount("REFUND_ALL", c.ETHRefundAll),
		RefundFree: r.amount("REFUND_FREE", c.ETHRefundFree), GatherFee: r.amount("GATHER_FEE", c.ETHGatherFee)}
	return p, r.err
}

// A settingReader reads numbers and keeps the first error.
type settingReader struct {
	coin money.Currency
	err  error
}

func (r *settingReader) fail(key string, err error) {
	if r.err == nil {
		r.err = fmt.Errorf("%s: %w", key, err)
	}
}

func (r *settingReader) key(name string) string { return "PIPE_SIGNER_" + string(r.coin) + "_" + name }

func (r *settingReader) amount(name, text string) money.Amount {
	a, err := money.Parse(r.coin, text)
	if err != nil {
		r.fail(r.key(name), err)
		return money.Zero(r.coin)
	}
	return a
}

// whole reads a whole number of so many smallest units each.
func (r *settingReader) whole(name, text string, each int64) money.Amount {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		r.fail(r.key(name), fmt.Errorf("%q is not a whole number", text))
	}
	return money.OfBig(r.coin, new(big.Int).Mul(big.NewInt(int64(n)), big.NewInt(each)))
}

// percent gives millionths.
func (r *settingReader) percent(key, text string) int64 {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n > 100 {
		r.fail(key, fmt.Errorf("%q is not a whole percentage", text))
	}
	return int64(n) * 10_000
}
