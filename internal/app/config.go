package app

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
	"github.com/pipe-pg/pipe/internal/money"
	"github.com/pipe-pg/pipe/internal/signer"
)

// Config is everything that the program can be told. Each field has a key of the form PIPE_NAME in the environment, or in
// a file of KEY=value lines; the environment wins. For a key marked secret, KEY_FILE names a file that holds the value. An
// unknown PIPE_ key is an error.
type Config struct {
	Data       string `key:"PIPE_DATA" default:"./data" help:"Directory of the embedded database, the seed and the journal."`
	Database   string `key:"PIPE_DATABASE" default:"" secret:"true" help:"sqlite:PATH or postgres://…; empty: sqlite in PIPE_DATA."`
	Roles      string `key:"PIPE_ROLES" default:"api,checkout,admin,worker" help:"What this process does: api, checkout, admin, worker, comma-separated."`
	Listen     string `key:"PIPE_LISTEN" default:"127.0.0.1:8080" help:"Address on which API and payment page are served."`
	PublicURL  string `key:"PIPE_PUBLIC_URL" default:"" help:"What merchants and payers call this server, like https://pay.example. Required."`
	OtherWorld string `key:"PIPE_OTHER_WORLD" default:"" help:"What shops call the server of the other world, like https://sandbox.example on a live one: a key of that world is told to go there."`
	Proxies    string `key:"PIPE_TRUSTED_PROXIES" default:"" help:"IPs and CIDRs of reverse proxies whose X-Forwarded-For counts, comma-separated."`
	TLSCert    string `key:"PIPE_TLS_CERT" default:"" help:"Certificate file; with PIPE_TLS_KEY the server speaks HTTPS itself."`
	TLSKey     string `key:"PIPE_TLS_KEY" default:"" help:"Private key file of PIPE_TLS_CERT."`

	AdminListen string `key:"PIPE_ADMIN_LISTEN" default:"" help:"Address on which the admin is served, apart from API and payment page; empty: no admin."`
	AdminURL    string `key:"PIPE_ADMIN_URL" default:"" help:"What people call the admin, like https://admin.example. Required with PIPE_ADMIN_LISTEN."`
	SignUp      string `key:"PIPE_SIGN_UP" default:"invited" help:"Who may make an account: open (everybody with an e-mail address), invited (into a team), or closed."`

	SMTP         string `key:"PIPE_SMTP" default:"" help:"Mail server for letters of the admin, smtp://host:587 (STARTTLS is a must, but on this machine) or smtps://host:465; empty: no letters."`
	SMTPFrom     string `key:"PIPE_SMTP_FROM" default:"" help:"Sender of these letters, like PIPE <pipe@shop.example>. Required with PIPE_SMTP."`
	SMTPUser     string `key:"PIPE_SMTP_USER" default:"" help:"User at the mail server; empty: it asks for none."`
	SMTPPassword string `key:"PIPE_SMTP_PASSWORD" default:"" secret:"true" help:"Password at the mail server."`

	Bitcoin         string        `key:"PIPE_BITCOIN" default:"" help:"Bitcoin network: mainnet, testnet4, signet or regtest; empty: no Bitcoin."`
	BitcoinNodes    string        `key:"PIPE_BITCOIN_NODES" default:"" secret:"true" help:"JSON-RPC URLs of Bitcoin Core nodes with user and password, comma-separated."`
	Ethereum        string        `key:"PIPE_ETHEREUM" default:"" help:"Ethereum chain id (1 is mainnet); empty: no Ethereum."`
	EthereumNodes   string        `key:"PIPE_ETHEREUM_NODES" default:"" secret:"true" help:"JSON-RPC URLs of Ethereum nodes, comma-separated."`
	BitcoinPoll     time.Duration `key:"PIPE_BITCOIN_POLL" default:"0s" help:"Pause between looks at the Bitcoin network; 0: 5s, on regtest 500ms."`
	EthereumPoll    time.Duration `key:"PIPE_ETHEREUM_POLL" default:"0s" help:"Pause between looks at the Ethereum network; 0: 3s, on dev chains 500ms."`
	BitcoinTipAge   time.Duration `key:"PIPE_BITCOIN_TIP_AGE" default:"0s" help:"Age of the newest block from which a Bitcoin node counts as blind; 0: 2h, off on regtest."`
	EthereumTipAge  time.Duration `key:"PIPE_ETHEREUM_TIP_AGE" default:"0s" help:"The same for Ethereum; 0: 5m, off on dev chains."`
	BitcoinBreaker  int           `key:"PIPE_BITCOIN_BREAKER" default:"-1" help:"Depth of a reorganisation that doubles required confirmations for a day; -1: 3, off on regtest; 0: never."`
	EthereumBreaker int           `key:"PIPE_ETHEREUM_BREAKER" default:"-1" help:"The same for Ethereum; -1: 8, off on dev chains; 0: never."`

	BitcoinFinal    int           `key:"PIPE_BITCOIN_FINAL" default:"0" help:"Blocks from which Bitcoin is settled and payouts are done; 0: 6, on regtest 2."`
	EthereumFinal   int           `key:"PIPE_ETHEREUM_FINAL" default:"0" help:"The same for Ethereum; 0: when the chain calls it finalized, on dev chains 6."`
	BitcoinCeiling  int           `key:"PIPE_BITCOIN_FEE_CEILING" default:"300" help:"Highest fee rate paid, in satoshi per virtual byte; above it payouts wait."`
	EthereumCeiling int           `key:"PIPE_ETHEREUM_FEE_CEILING" default:"300" help:"Highest fee paid, in gwei per gas; above it payouts wait."`
	BitcoinFallback int           `key:"PIPE_BITCOIN_FALLBACK_FEE" default:"-1" help:"Fee rate where no node has an estimate, in satoshi per virtual byte; 0: none, and payouts wait for one; -1: 5 on testnet4 and signet, none on mainnet, the least that nodes relay on regtest."`
	FeeShare        int           `key:"PIPE_SETTLEMENT_FEE_SHARE" default:"50000" help:"Most that the network fee may take of a settlement, in millionths; above it settlements wait for company or lower fees."`
	BitcoinBump     time.Duration `key:"PIPE_BITCOIN_BUMP_AFTER" default:"30m" help:"How long a payout waits for a block before its fee is raised."`
	EthereumBump    time.Duration `key:"PIPE_ETHEREUM_BUMP_AFTER" default:"3m" help:"The same for Ethereum."`

	Rates       string        `key:"PIPE_RATES" default:"upbit,bithumb,coinone,korbit,coinbase,kraken,bitstamp,gemini" help:"Price sources, comma-separated, at least 3 per currency. fixed:BTC/KRW=…;… is for demonstrations only."`
	RateEvery   time.Duration `key:"PIPE_RATE_EVERY" default:"20s" help:"Pause between price look-ups."`
	RateMaxAge  time.Duration `key:"PIPE_RATE_MAX_AGE" default:"60s" help:"Age from which a price does not count."`
	FXFile      string        `key:"PIPE_FX_FILE" default:"" help:"File with the won per dollar, one number, as of its modification time, written by a job of yours; with it, KRW prices are checked against USD prices."`
	MaxPriceKRW int64         `key:"PIPE_MAX_PRICE_KRW" default:"1000000000" help:"Highest price of an invoice, in won."`
	MaxPriceUSD int64         `key:"PIPE_MAX_PRICE_USD" default:"1000000" help:"Highest price of an invoice, in whole dollars."`

	InsecureURLs bool   `key:"PIPE_INSECURE_URLS" default:"false" help:"Take http:// callback and redirect URLs. For tests only."`
	CallbackOpen string `key:"PIPE_CALLBACK_OPEN" default:"" help:"Origins that may resolve to addresses which are not public, each ORIGIN=CIDR[+CIDR…], comma-separated. Link-local is never opened."`
	CallbackDeny string `key:"PIPE_CALLBACK_DENY" default:"" help:"Further CIDRs that callbacks never reach, comma-separated."`

	DiskFloor   int64 `key:"PIPE_DISK_FLOOR" default:"1024" help:"MiB free where PIPE_DATA lies below which no new invoices are taken, so that open ones can go on."`
	DiskReserve int64 `key:"PIPE_DISK_RESERVE" default:"256" help:"MiB of the file reserve in PIPE_DATA, which the role worker keeps where there is room and gives up when the disk is nearly full, so that what is open can still be written; 0: none."`

	RatePerKey int `key:"PIPE_RATE_PER_KEY" default:"20" help:"API calls a second per key, with five times that in a burst."`

	Signer           string `key:"PIPE_SIGNER" default:"" help:"Unix socket of a signer in a process of its own (pipe signer run); empty: the signer is embedded and works on the seed in PIPE_DATA."`
	SignerPassphrase string `key:"PIPE_SIGNER_PASSPHRASE" default:"" secret:"true" help:"Opens the encrypted seed in PIPE_DATA. Better: PIPE_SIGNER_PASSPHRASE_FILE."`
	SecretKey        string `key:"PIPE_SECRET_KEY" default:"" secret:"true" help:"64 hex digits under which callback secrets are encrypted in the database; empty: made in PIPE_DATA at the first start."`

	LogFormat string `key:"PIPE_LOG" default:"text" help:"Form of the log on standard error: text or json."`
	LogLevel  string `key:"PIPE_LOG_LEVEL" default:"info" help:"debug, info, warn or error."`

	policy    signer.Policy // of the embedded signer
	signerDir string        // PIPE_SIGNER_DIR; empty: in Data
}

// signerPolicy takes out the keys of the signer's policy, which are those of pipe signer: they bind the embedded signer too.
// Unlike there, destinations need no approval unless PIPE_SIGNER_APPROVE says so, as nobody but this process could give it.
func (c *Config) signerPolicy(values map[string]string) error {
	own := map[string]bool{"PIPE_SIGNER_PASSPHRASE": true, "PIPE_SIGNER_PASSPHRASE_FILE": true}
	env, dir := []string{}, values["PIPE_SIGNER_DIR"]
	for k, v := range values {
		if strings.HasPrefix(k, "PIPE_SIGNER_") && !own[k] {
			env = append(env, k+"="+v)
			delete(values, k)
		}
	}
	if !slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, "PIPE_SIGNER_APPROVE=") }) {
		env = append(env, "PIPE_SIGNER_APPROVE=false")
	}
	c.signerDir = dir
	s, err := signer.LoadConfig(env)
	if err == nil {
		c.policy, err = s.Policy()
	}
	return err
}

// MaxConfigFile is the largest configuration file read, in bytes.
const MaxConfigFile = 64 << 10

// LoadConfig reads the defaults, the file (if any), and the environment, each winning over the one before, and checks the
// whole. Errors name the key and say what to write.
func LoadConfig(file string, environ []string) (Config, error) {
	values, err := readValues(file, environ)
	if err != nil {
		return Config{}, err
	}
	var c Config
	if err := c.signerPolicy(values); err != nil {
		return c, err
	}
	if err := c.fill(values); err != nil {
		return c, err
	}
	return c, c.Check()
}

// readValues reads the file, if any, and the environment, which wins.
func readValues(file string, environ []string) (map[string]string, error) {
	values := map[string]string{}
	if file != "" {
		if err := readConfigFile(file, values); err != nil {
			return nil, err
		}
	}
	for _, kv := range environ {
		if k, v, ok := strings.Cut(kv, "="); ok && strings.HasPrefix(k, "PIPE_") {
			values[k] = v
		}
	}
	return values, nil
}

func readConfigFile(file string, values map[string]string) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxConfigFile+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	if len(text) > MaxConfigFile {
		return fmt.Errorf("read configuration: %s has more than %d bytes", file, MaxConfigFile)
	}
	for n, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		k, v, ok := strings.Cut(line, "=")
		if !ok {
			return fmt.Errorf("read configuration: %s:%d: write KEY=value", file, n+1)
		}
		values[strings.TrimSpace(k)] = unquote(strings.TrimSpace(v))
	}
	return nil
}

// unquote takes the quotes off that shells and systemd want around a value, so that one file serves all three.
func unquote(v string) string {
	if n := len(v); n > 1 && (v[0] == '"' || v[0] == '\'') && v[n-1] == v[0] {
		return v[1 : n-1]
	}
	return v
}

// fill sets the fields from texts, by reflection over the keys.
func (c *Config) fill(values map[string]string) error {
	if err := checkKnown(values); err != nil {
		return err
	}
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() {
			continue // made of others
		}
		tag := v.Type().Field(i).Tag
		key := tag.Get("key")
		text, set := values[key]
		if tag.Get("secret") != "" {
			if file := values[key+"_FILE"]; file != "" {
				b, err := os.ReadFile(file)
				if err != nil {
					return fmt.Errorf("%s_FILE: %w", key, err)
				}
				text, set = strings.TrimSpace(string(b)), true
			}
		}
		if !set || text == "" {
			text = tag.Get("default")
		}
		if err := setField(v.Field(i), text); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

// checkKnown refuses keys that are none of the gateway's, so that a typo does not stay unseen.
func checkKnown(values map[string]string) error {
	known := map[string]bool{"PIPE_CONFIG": true}
	for f := range reflect.TypeFor[Config]().Fields() {
		if !f.IsExported() {
			continue // made of others
		}
		known[f.Tag.Get("key")] = true
		known[f.Tag.Get("key")+"_FILE"] = f.Tag.Get("secret") != ""
	}
	for k := range values {
		if !known[k] {
			return fmt.Errorf("%s: no such setting; `pipe config` lists them all, and `pipe signer config` those of the signer", k)
		}
	}
	return nil
}

func setField(f reflect.Value, text string) error {
	switch f.Interface().(type) {
	case string:
		f.SetString(text)
	case time.Duration:
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return fmt.Errorf("%q is not a duration like 30s or 5m", text)
		}
		f.SetInt(int64(d))
	case bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is not true or false", text)
		}
		f.SetBool(b)
	default:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return fmt.Errorf("%q is not a whole number", text)
		}
		f.SetInt(n)
	}
	return nil
}

// Check refuses a configuration that cannot be right.
func (c Config) Check() error {
	for _, r := range split(c.Roles) {
		if !slices.Contains([]string{"api", "checkout", "admin", "worker"}, r) {
			return fmt.Errorf("PIPE_ROLES: %q is none of api, checkout, admin, worker", r)
		}
	}
	for _, key := range []struct{ name, list string }{
		{"PIPE_TRUSTED_PROXIES", c.Proxies}, {"PIPE_CALLBACK_DENY", c.CallbackDeny},
	} {
		if _, err := prefixes(key.list); err != nil {
			return fmt.Errorf("%s: %w", key.name, err)
		}
	}
	for _, place := range []struct{ name, url string }{{"PIPE_PUBLIC_URL", c.PublicURL}, {"PIPE_OTHER_WORLD", c.OtherWorld}} {
		u, err := url.Parse(place.url)
		if place.url != "" && (err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || strings.Trim(u.Path, "/") != "") {
			return fmt.Errorf("%s: %q is not an origin like https://pay.example", place.name, place.url)
		}
	}
	if err := errors.Join(c.checkListen(), c.checkNetworks(), c.checkAdmin(), c.checkMail()); err != nil {
		return err
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return errors.New("PIPE_TLS_CERT and PIPE_TLS_KEY belong together")
	}
	return nil
}

// checkListen refuses an address without a port, or without the colon before it.
func (c Config) checkListen() error {
	for key, address := range map[string]string{"PIPE_LISTEN": c.Listen, "PIPE_ADMIN_LISTEN": c.AdminListen} {
		if _, _, err := net.SplitHostPort(address); address != "" && err != nil {
			return fmt.Errorf("%s: %q is not HOST:PORT like 127.0.0.1:8080, or :8080 for every address of this machine", key, address)
		}
	}
	return nil
}

// checkNetworks refuses networks that are none, and networks without nodes.
func (c Config) checkNetworks() error {
	if known := []string{"", "mainnet", "testnet4", "signet", "regtest"}; !slices.Contains(known, c.Bitcoin) {
		return fmt.Errorf("PIPE_BITCOIN: %q is none of %s", c.Bitcoin, strings.Join(known[1:], ", "))
	}
	if id, err := strconv.ParseUint(c.Ethereum, 10, 64); c.Ethereum != "" && (err != nil || id == 0) {
		return fmt.Errorf("PIPE_ETHEREUM: %q is not a chain id: write 1 for mainnet", c.Ethereum)
	}
	if c.DiskFloor < 0 || c.DiskReserve < 0 || c.DiskReserve > MaxReserve {
		return fmt.Errorf("PIPE_DISK_FLOOR, PIPE_DISK_RESERVE: not below 0, and the reserve at most %d", MaxReserve)
	}
	if c.BitcoinFallback < -1 || c.BitcoinFallback > c.BitcoinCeiling {
		return fmt.Errorf("PIPE_BITCOIN_FALLBACK_FEE: %d is not between -1 and PIPE_BITCOIN_FEE_CEILING, %d", c.BitcoinFallback, c.BitcoinCeiling)
	}
	for _, n := range []struct{ name, network, nodes string }{
		{"PIPE_BITCOIN", c.Bitcoin, c.BitcoinNodes}, {"PIPE_ETHEREUM", c.Ethereum, c.EthereumNodes},
	} {
		if (n.network == "") != (n.nodes == "") {
			return fmt.Errorf("%s and %s_NODES belong together", n.name, n.name)
		}
		if len(split(n.nodes)) > chain.MaxEndpoints {
			return fmt.Errorf("%s_NODES: at most %d", n.name, chain.MaxEndpoints)
		}
	}
	return nil
}

// Has tells whether this process has a role.
func (c Config) Has(role string) bool { return slices.Contains(split(c.Roles), role) }

// DatabaseURL is the database, the embedded one by default.
func (c Config) DatabaseURL() string {
	if c.Database != "" {
		return c.Database
	}
	return "sqlite:" + filepath.Join(c.Data, "pipe.db")
}

// Networks are the networks that are set up.
func (c Config) Networks() map[money.Currency]money.Network {
	all := map[money.Currency]money.Network{}
	if c.Bitcoin != "" {
		all[money.BTC] = money.Network("bitcoin/" + c.Bitcoin)
	}
	if c.Ethereum != "" {
		all[money.ETH] = money.Network("ethereum/" + c.Ethereum)
	}
	return all
}

// A setting is one field of the configuration as it may be shown.
type setting struct{ key, value, help string }

// settings are all in force, secrets covered.
func (c Config) settings() (all []setting) {
	v := reflect.ValueOf(c)
	for i := range v.NumField() {
		if !v.Type().Field(i).IsExported() {
			continue // made of others
		}
		tag := v.Type().Field(i).Tag
		value := fmt.Sprint(v.Field(i).Interface())
		if tag.Get("secret") != "" && value != "" {
			value = "[secret]"
		}
		all = append(all, setting{tag.Get("key"), value, tag.Get("help")})
	}
	return all
}

// Print writes the configuration in force, each line with what it means, secrets covered.
func (c Config) Print(w io.Writer) error {
	for _, s := range c.settings() {
		if _, err := fmt.Fprintf(w, "# %s\n%s=%s\n", s.help, s.key, s.value); err != nil {
			return err
		}
	}
	return nil
}

// split cuts a comma-separated list, without empty parts.
func split(list string) []string {
	var all []string
	for _, s := range strings.Split(list, ",") {
		if s = strings.TrimSpace(s); s != "" {
			all = append(all, s)
		}
	}
	return all
}

func prefixes(list string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range split(list) {
		if a, err := netip.ParseAddr(text); err == nil {
			all = append(all, netip.PrefixFrom(a, a.BitLen()))
			continue
		}
		p, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is not an IP address or CIDR", text)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// Logger is the log that the configuration asks for.
func (c Config) Logger(w io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		return nil, fmt.Errorf("PIPE_LOG_LEVEL: %w", err)
	}
	o := &slog.HandlerOptions{Level: level}
	switch c.LogFormat {
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return nil, fmt.Errorf("PIPE_LOG: %q is neither text nor json", c.LogFormat)
}
