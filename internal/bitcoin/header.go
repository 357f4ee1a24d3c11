package bitcoin

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"time"

	"github.com/pipe-pg/pipe/internal/chain"
)

// headerSize is the length of a block header, in bytes.
const headerSize = 80

// A header is the 80 bytes that a block's hash is the hash of.
type header struct {
	hash, parent string
	merkle       [32]byte
	time         time.Time
	bits         uint32
}

// parseHeader reads a header and checks that its hash is work enough for what it claims, and that this is no less than
// the network's least. Whoever forges it must do that work.
func parseHeader(net network, raw []byte) (header, error) {
	if len(raw) < headerSize {
		return header{}, fmt.Errorf("a header has %d bytes, got %d", headerSize, len(raw))
	}
	raw = raw[:headerSize]
	sum := doubleHash(raw)
	h := header{
		hash:   idText(sum),
		parent: idText([32]byte(raw[4:36])),
		merkle: [32]byte(raw[36:68]),
		time:   time.Unix(int64(binary.LittleEndian.Uint32(raw[68:])), 0).UTC(),
		bits:   binary.LittleEndian.Uint32(raw[72:]),
	}
	target := targetOf(h.bits)
	if target.Sign() <= 0 || target.Cmp(net.params.PowLimit) > 0 {
		return header{}, fmt.Errorf("block %s claims less work (bits %08x) than the network's least", h.hash, h.bits)
	}
	slices.Reverse(sum[:])
	if new(big.Int).SetBytes(sum[:]).Cmp(target) > 0 {
		return header{}, fmt.Errorf("block %s has not the work it claims (bits %08x)", h.hash, h.bits)
	}
	return h, nil
}

// follows checks the difficulty of the block at a height against its parent's: where it is steady it stays for 2,016
// blocks and then moves by a factor of four at most.
func (h header) follows(net network, parent header, height uint64) error {
	if !net.steady {
		return nil
	}
	if height%2016 != 0 {
		if h.bits != parent.bits {
			return fmt.Errorf("block %s changes the difficulty at height %d", h.hash, height)
		}
		return nil
	}
	most := new(big.Int).Lsh(targetOf(parent.bits), 2)
	if targetOf(h.bits).Cmp(most) > 0 {
		return fmt.Errorf("block %s lowers the difficulty by more than a factor of four", h.hash)
	}
	return nil
}

func (h header) block(height uint64) chain.Block {
	return chain.Block{Height: height, Hash: h.hash, Parent: h.parent, Time: h.time}
}

// targetOf unpacks the compact form of a 256-bit target; a negative one comes out as zero.
func targetOf(bits uint32) *big.Int {
	mantissa := big.NewInt(int64(bits & 0x007fffff))
	if bits&0x00800000 != 0 {
		return new(big.Int)
	}
	if exponent := uint(bits >> 24); exponent > 3 {
		return mantissa.Lsh(mantissa, 8*(exponent-3))
	} else {
		return mantissa.Rsh(mantissa, 8*(3-exponent))
	}
}

func doubleHash(b []byte) [32]byte {
	sum := sha256.Sum256(b)
	return sha256.Sum256(sum[:])
}

// idText prints a hash as Bitcoin's tools do: in hex, last byte first.
func idText(id [32]byte) string {
	slices.Reverse(id[:])
	return hex.EncodeToString(id[:])
}
