package webhook

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
)

// A row refuses a range of addresses.
type row struct {
	prefix netip.Prefix
	what   string
}

// refusedIPv4 are the ranges of the IANA IPv4 special-purpose registry (RFC 6890 and its updates), multicast, and the
// address under which Azure hosts serve their guests. Rows that the registry calls globally reachable are refused too:
// no shop lives there.
var refusedIPv4 = []row{
	{netip.MustParsePrefix("0.0.0.0/8"), "this network"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},
	{netip.MustParsePrefix("100.64.0.0/10"), "shared address space (CGNAT)"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("168.63.129.16/32"), "cloud host"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local, cloud metadata"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},
	{netip.MustParsePrefix("192.0.0.0/24"), "protocol assignments"},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation"},
	{netip.MustParsePrefix("192.31.196.0/24"), "AS112"},
	{netip.MustParsePrefix("192.52.193.0/24"), "AMT"},
	{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relay"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},
	{netip.MustParsePrefix("192.175.48.0/24"), "AS112"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarks"},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved, broadcast"},
}

// allowedIPv6 is the global unicast range: for IPv6 what is not in it is refused.
var allowedIPv6 = netip.MustParsePrefix("2000::/3")

// compatibleIPv6 is the old range of IPv4-compatible addresses; loopback lies in it.
var compatibleIPv6 = netip.MustParsePrefix("::/96")

// namedIPv6 names ranges outside allowedIPv6, for clear refusals. They would be refused without it.
var namedIPv6 = []row{
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("::/96"), "IPv4-compatible"},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), "IPv4-translated (SIIT)"},
	{netip.MustParsePrefix("64:ff9b::/96"), "NAT64"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "NAT64"},
	{netip.MustParsePrefix("100::/64"), "discard"},
	{netip.MustParsePrefix("100:0:0:1::/64"), "dummy"},
	{netip.MustParsePrefix("5f00::/16"), "SRv6"},
	{netip.MustParsePrefix("fc00::/7"), "unique local, cloud metadata"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fec0::/10"), "site-local"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
}

// refusedIPv6 are the ranges of the IANA IPv6 special-purpose registry inside allowedIPv6.
var refusedIPv6 = []row{
	{netip.MustParsePrefix("2001::/23"), "protocol assignments"},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation"},
	{netip.MustParsePrefix("3fff::/20"), "documentation"},
	{netip.MustParsePrefix("2002::/16"), "6to4"},
	{netip.MustParsePrefix("2620:4f:8000::/48"), "AS112"},
}

// neverOpen are ranges that no opening reaches: link-local, where cloud metadata lives, the metadata addresses outside
// it, and ranges that carry an IPv4 address which other machines on the way would act on.
var neverOpen = []row{
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local, cloud metadata"},
	{netip.MustParsePrefix("168.63.129.16/32"), "cloud host"},
	{netip.MustParsePrefix("100.100.100.200/32"), "cloud metadata"},
	{netip.MustParsePrefix("192.0.0.192/32"), "cloud metadata"},
	{netip.MustParsePrefix("fd00:ec2::/32"), "cloud metadata"},
	{netip.MustParsePrefix("fd20:ce::254/128"), "cloud metadata"},
	{netip.MustParsePrefix("fd00:42::42/128"), "cloud metadata"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fec0::/10"), "site-local"},
	{netip.MustParsePrefix("::ffff:0:0:0/96"), "IPv4-translated (SIIT)"},
	{netip.MustParsePrefix("64:ff9b::/96"), "NAT64"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "NAT64"},
	{netip.MustParsePrefix("2001::/32"), "Teredo"},
	{netip.MustParsePrefix("2002::/16"), "6to4"},
}

// nat64Lengths are the prefix lengths of RFC 6052, section 2.2.
var nat64Lengths = []int{32, 40, 48, 56, 64, 96}

// Judge refuses addresses that are not public, with ErrNotPublic and the reason: the special-purpose ranges of IANA,
// multicast, all of IPv6 outside 2000::/3, and every form that carries an IPv4 address inside. An IPv4-mapped address is
// judged as the IPv4 address. An address in one of the nat64 prefixes (RFC 6052) is judged as the IPv4 address inside. A
// zone is refused. It is a pure function of its arguments; the guard adds the host's own addresses and the operator's.
func Judge(addr netip.Addr, nat64 ...netip.Prefix) error {
	switch {
	case !addr.IsValid():
		return refuse(addr, "not an address")
	case addr.Zone() != "":
		return refuse(addr, "with a zone")
	}
	addr = addr.Unmap()
	if addr.Is4() {
		return among(addr, refusedIPv4)
	}
	if isNAT64(addr, nat64) {
		v4, ok := embeddedIPv4(addr, nat64)
		if !ok {
			return refuse(addr, "malformed NAT64")
		}
		return Judge(v4)
	}
	if !allowedIPv6.Contains(addr) {
		if err := among(addr, namedIPv6); err != nil {
			return err
		}
		return refuse(addr, "outside the global unicast range")
	}
	if isISATAP(addr) {
		return refuse(addr, "ISATAP")
	}
	return among(addr, refusedIPv6)
}

// neverOpened refuses what no opening reaches.
func neverOpened(addr netip.Addr, nat64 []netip.Prefix) error {
	if addr.Zone() != "" {
		return refuse(addr, "with a zone")
	}
	addr = addr.Unmap()
	if isNAT64(addr, nat64) {
		v4, ok := embeddedIPv4(addr, nat64)
		if !ok {
			return refuse(addr, "malformed NAT64")
		}
		return among(v4, neverOpen)
	}
	if addr.Is6() && isISATAP(addr) {
		return refuse(addr, "ISATAP")
	}
	if compatibleIPv6.Contains(addr) && addr != netip.IPv6Loopback() {
		return refuse(addr, "IPv4-compatible")
	}
	return among(addr, neverOpen)
}

func among(addr netip.Addr, rows []row) error {
	for _, r := range rows {
		if r.prefix.Contains(addr) {
			return refuse(addr, r.what)
		}
	}
	return nil
}

func refuse(addr netip.Addr, what string) error {
	return fmt.Errorf("%s is %s: %w", addr, what, ErrNotPublic)
}

// isISATAP tells whether the interface identifier is 0:5efe or 200:5efe and an IPv4 address (RFC 5214, section 6.1).
func isISATAP(addr netip.Addr) bool {
	b := addr.As16()
	id := binary.BigEndian.Uint32(b[8:12])
	return id == 0x00005efe || id == 0x02005efe
}

func isNAT64(addr netip.Addr, prefixes []netip.Prefix) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// embeddedIPv4 takes the IPv4 address out of an address in one of the prefixes (RFC 6052, section 2.2): it follows the
// prefix and steps over bits 64 to 71, which are zero.
func embeddedIPv4(addr netip.Addr, prefixes []netip.Prefix) (netip.Addr, bool) {
	for _, p := range prefixes {
		if !p.Contains(addr) {
			continue
		}
		b := addr.As16()
		if p.Bits() == 96 {
			return netip.AddrFrom4([4]byte(b[12:16])), true
		}
		if b[8] != 0 {
			return netip.Addr{}, false
		}
		var v4 [4]byte
		at := p.Bits() / 8
		for i := range v4 {
			if at == 8 {
				at++
			}
			v4[i] = b[at]
			at++
		}
		return netip.AddrFrom4(v4), true
	}
	return netip.Addr{}, false
}
