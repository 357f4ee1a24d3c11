package webhook

import (
	"errors"
	"math/big"
	"net/netip"
	"testing"

	"code.dny.dev/ssrf"
)

// bounds are the first, last and neighbouring addresses of a prefix.
func bounds(t *testing.T, p netip.Prefix) (first, last, before, after netip.Addr) {
	t.Helper()
	first = p.Masked().Addr()
	b := new(big.Int).SetBytes(first.AsSlice())
	size := new(big.Int).Lsh(big.NewInt(1), uint(first.BitLen()-p.Bits()))
	b.Add(b, size).Sub(b, big.NewInt(1))
	raw := b.FillBytes(make([]byte, first.BitLen()/8))
	last, ok := netip.AddrFromSlice(raw)
	if !ok {
		t.Fatalf("no last address of %s", p)
	}
	return first, last, first.Prev(), last.Next()
}

// neighbours of rows that are themselves refused, by another row.
var refusedNeighbours = map[string]bool{
	"223.255.255.255": false, "239.255.255.255": true, "240.0.0.0": true,
	"191.255.255.255": false, "192.0.1.0": false, "192.0.1.255": false,
}

func TestJudgeIPv4Rows(t *testing.T) {
	for _, r := range refusedIPv4 {
		first, last, before, after := bounds(t, r.prefix)
		for _, a := range []netip.Addr{first, last} {
			if err := Judge(a); !errors.Is(err, ErrNotPublic) {
				t.Errorf("%s of %s: got %v", a, r.prefix, err)
			}
			mapped := netip.AddrFrom16(a.As16())
			if err := Judge(mapped); !errors.Is(err, ErrNotPublic) {
				t.Errorf("%s: got %v", mapped, err)
			}
		}
		for _, a := range []netip.Addr{before, after} {
			if !a.IsValid() || refusedNeighbours[a.String()] {
				continue
			}
			if err := Judge(a); err != nil {
				t.Errorf("%s beside %s: %v", a, r.prefix, err)
			}
			if err := Judge(netip.AddrFrom16(a.As16())); err != nil {
				t.Errorf("mapped %s: %v", a, err)
			}
		}
	}
}

func TestJudgeIPv6Rows(t *testing.T) {
	for _, r := range namedIPv6 {
		first, last, before, after := bounds(t, r.prefix)
		for _, a := range []netip.Addr{first, last, before, after} {
			if a.IsValid() && !allowedIPv6.Contains(a) && !a.Is4In6() {
				if err := Judge(a); !errors.Is(err, ErrNotPublic) {
					t.Errorf("%s near %s: got %v", a, r.prefix, err)
				}
			}
		}
	}
	for _, r := range refusedIPv6 {
		first, last, before, after := bounds(t, r.prefix)
		for _, a := range []netip.Addr{first, last} {
			if err := Judge(a); !errors.Is(err, ErrNotPublic) {
				t.Errorf("%s of %s: got %v", a, r.prefix, err)
			}
		}
		for _, a := range []netip.Addr{before, after} {
			if want := allowedIPv6.Contains(a); (Judge(a) == nil) != want {
				t.Errorf("%s beside %s: got %v, public is %v", a, r.prefix, Judge(a), want)
			}
		}
	}
	first, last, before, after := bounds(t, allowedIPv6)
	for a, public := range map[netip.Addr]bool{first: true, last: true, before: false, after: false} {
		if (Judge(a) == nil) != public {
			t.Errorf("%s: got %v, public is %v", a, Judge(a), public)
		}
	}
}

func TestJudgeForms(t *testing.T) {
	nat64 := []netip.Prefix{netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("2a00:1::/32"),
		netip.MustParsePrefix("2a01:1:100::/40"), netip.MustParsePrefix("2a02:1:2::/48"),
		netip.MustParsePrefix("2a03:1:2:100::/56"), netip.MustParsePrefix("2a04:1:2:3::/64")}
	for text, want := range map[string]struct{ plain, translated bool }{
		"8.8.8.8":                   {true, true},
		"2606:4700::1111":           {true, true},
		"2606:4700::5efe:808:808":   {false, false}, // ISATAP
		"2606:4700::200:5efe:a00:1": {false, false},
		"2606:4700::1:5efe:808:808": {true, true},
		"fe80::1%eth0":              {false, false},
		"2606:4700::1%1":            {false, false},
		"::ffff:8.8.8.8":            {true, true},
		"::ffff:127.0.0.1":          {false, false},
		"::127.0.0.1":               {false, false},
		"::ffff:0:8.8.8.8":          {false, false}, // SIIT
		"64:ff9b::808:808":          {false, true},
		"64:ff9b::7f00:1":           {false, false},
		"64:ff9b::a9fe:a9fe":        {false, false},
		"64:ff9b:1::808:808":        {false, false},
		"2a00:1:808:808::":          {true, true},
		"2a00:1:7f00:1::":           {true, false},
		"2a01:1:108:808:8::":        {true, true}, // 8.8.8.8 stepping over bits 64–71
		"2a01:1:17f:0:1::":          {true, false},
		"2a02:1:2:808:8:800::":      {true, true},
		"2a02:1:2:7f00:0:100::":     {true, false},
		"2a03:1:2:108:8:808::":      {true, true},
		"2a03:1:2:17f:0:1::":        {true, false},
		"2a04:1:2:3:8:808:800:0":    {true, true},
		"2a04:1:2:3:7f:0:100:0":     {true, false},
		"2a04:1:2:3:ff08:808:800:0": {true, false}, // bits 64–71 are not zero
		"2a02:26f0::1":              {true, true},
		"2001:4860:4860::8888":      {true, true},
		"2001:1ff:ffff:ffff:ffff::": {false, false},
		"3fff:fff:ffff::1":          {false, false},
		"fd00:ec2::254":             {false, false},
		"255.255.255.255":           {false, false},
		"0.0.0.0":                   {false, false},
		"168.63.129.16":             {false, false},
		"168.63.129.15":             {true, true},
	} {
		addr := netip.MustParseAddr(text)
		if got := Judge(addr) == nil; got != want.plain {
			t.Errorf("%s: public %v, want %v (%v)", text, got, want.plain, Judge(addr))
		}
		if got := Judge(addr, nat64...) == nil; got != want.translated {
			t.Errorf("%s with NAT64: public %v, want %v (%v)", text, got, want.translated, Judge(addr, nat64...))
		}
	}
	if Judge(netip.Addr{}) == nil {
		t.Error("the zero address is public")
	}
}

// The table must refuse whatever an independent table generated from the IANA registries refuses.
func TestJudgeAgainstIANA(t *testing.T) {
	other := ssrf.New(ssrf.WithAnyPort())
	var probes []netip.Addr
	all := append(append([]netip.Prefix{}, ssrf.IPv4DeniedPrefixes...), ssrf.IPv6DeniedPrefixes...)
	for _, p := range all {
		first, last, before, after := bounds(t, p)
		probes = append(probes, first, last, before, after)
	}
	seed := uint64(1)
	for range 20_000 {
		seed = seed*6364136223846793005 + 1442695040888963407
		probes = append(probes, netip.AddrFrom4([4]byte{byte(seed >> 56), byte(seed >> 48), byte(seed >> 40), byte(seed >> 32)}))
	}
	for _, a := range probes {
		if a.IsValid() && other.SafeAddr(a) != nil && Judge(a) == nil {
			t.Errorf("%s is refused by the other table: %v", a, other.SafeAddr(a))
		}
	}
}

func TestNeverOpened(t *testing.T) {
	nat64 := []netip.Prefix{netip.MustParsePrefix("2a00:1::/96")}
	for text, may := range map[string]bool{
		"127.0.0.1": true, "::1": true, "10.1.2.3": true, "192.168.1.1": true, "fd12:3456::1": true, "172.16.0.1": true,
		"169.254.169.254": false, "::ffff:169.254.169.254": false, "168.63.129.16": false, "100.100.100.200": false,
		"fe80::1": false, "fe80::1%eth0": false, "fd00:ec2::254": false, "64:ff9b::a9fe:a9fe": false, "::a9fe:a9fe": false,
		"2002:a9fe:a9fe::": false, "2a00:1::a9fe:a9fe": false, "2a00:1::a00:1": true, "::ffff:0:a9fe:a9fe": false,
		"fd00::5efe:a9fe:a9fe": false,
	} {
		if err := neverOpened(netip.MustParseAddr(text), nat64); (err == nil) != may {
			t.Errorf("%s: got %v, may be opened: %v", text, err, may)
		}
	}
}
