package ethereum

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
)

// The block log is a sequence of records: length of the body (4 bytes), CRC-32C of the body (4 bytes), body: kind
// (1 byte) and payload. Integers are big-endian. Only the end of the file can be torn by a crash, and it is cut off.
const (
	kindOrigin = 'O' // first record: what the genesis is made of
	kindBlocks = 'B' // blocks that became canonical, and what they dropped
	kindTx     = 'T' // a transaction that entered the pool
	kindDrops  = 'D' // transactions that left the pool for good
	logMagic   = "PIPEETH1"
	headerSize = 8
)

// origin is all that the genesis block depends on. FaucetKey is the secret key of the faucet, worth nothing elsewhere.
type origin struct {
	ChainID   uint64
	Time      uint64
	FaucetKey []byte
}

// drop tells that a transaction is gone for good; Replacement is the raw transaction in its place, or empty.
type drop struct {
	Txid        common.Hash
	Replacement []byte
}

// segment is a run of blocks that became canonical together, replacing all blocks from First up.
type segment struct {
	First  uint64
	Hashes []common.Hash
	Drops  []drop
	Blocks [][]byte
}

// place says where in the log a canonical block is.
type place struct {
	hash   common.Hash
	offset int64
	index  int
}

type blockLog struct {
	file    *os.File
	size    int64 // end of the last whole record
	broken  error // set when the end of the file is in doubt; nothing is appended any more
	origin  *origin
	canon   []place                     // canonical blocks; canon[i] has height i+1
	txs     []common.Hash               // pooled transactions in order of arrival; may name one twice
	offsets map[common.Hash]int64       // where to read those that are not dropped
	gone    map[common.Hash]common.Hash // dropped transactions, each to the one in its place or zero
	cached  int64                       // offset of last, the segment read last
	last    segment
}

func openLog(path string, log *slog.Logger) (*blockLog, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open block log: %w", err)
	}
	l := &blockLog{file: file, offsets: map[common.Hash]int64{}, gone: map[common.Hash]common.Hash{}}
	if err := l.load(log); err != nil {
		return nil, errors.Join(fmt.Errorf("read block log: %w", err), file.Close())
	}
	return l, nil
}

// load reads all records and cuts a torn end off.
func (l *blockLog) load(log *slog.Logger) error {
	end, err := l.file.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if end < int64(len(logMagic)) {
		return l.reset()
	}
	r := bufio.NewReaderSize(io.NewSectionReader(l.file, 0, end), 1<<20)
	magic := make([]byte, len(logMagic))
	if _, err := io.ReadFull(r, magic); err != nil {
		return err
	}
	if string(magic) != logMagic {
		return fmt.Errorf("%w: unknown format", ErrLogCorrupt)
	}
	l.size = int64(len(logMagic))
	for l.size < end {
		body, err := readRecord(r, end-l.size)
		if errors.Is(err, errTorn) {
			log.Warn("cutting the torn end off the block log", "offset", l.size, "bytes", end-l.size)
			return l.cut()
		}
		if err != nil {
			return fmt.Errorf("record at %d: %w", l.size, err)
		}
		if err := l.apply(body, l.size); err != nil {
			return fmt.Errorf("record at %d: %w", l.size, err)
		}
		l.size += headerSize + int64(len(body))
	}
	return nil
}

var errTorn = errors.New("record is torn")

// readRecord reads one of the records in the remaining bytes. A bad record is torn if nothing but zeros follows it,
// which is what a crash leaves; anything else is damage.
func readRecord(r *bufio.Reader, remaining int64) ([]byte, error) {
	if remaining < headerSize {
		return nil, errTorn
	}
	var head [headerSize]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	n := int64(binary.BigEndian.Uint32(head[:4]))
	if n == 0 {
		return nil, tornIfZero(r)
	}
	if n > remaining-headerSize {
		return nil, errTorn
	}
	if n > maxRecord {
		return nil, fmt.Errorf("%w: record of %d bytes", ErrLogCorrupt, n)
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r, body); err != nil {
		return nil, err
	}
	if checksum(body) != binary.BigEndian.Uint32(head[4:]) {
		return nil, tornIfZero(r)
	}
	return body, nil
}

func tornIfZero(r *bufio.Reader) error {
	for {
		b, err := r.ReadByte()
		if errors.Is(err, io.EOF) {
			return errTorn
		}
		if err != nil {
			return err
		}
		if b != 0 {
			return fmt.Errorf("%w: bad checksum before the end", ErrLogCorrupt)
		}
	}
}

func checksum(body []byte) uint32 { return crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)) }

// reset makes an empty log.
func (l *blockLog) reset() error {
	l.size = 0
	if err := l.cut(); err != nil {
		return err
	}
	if _, err := l.file.WriteAt([]byte(logMagic), 0); err != nil {
		return err
	}
	l.size = int64(len(logMagic))
	if err := l.file.Sync(); err != nil {
		return err
	}
	return syncDir(filepath.Dir(l.file.Name()))
}

func (l *blockLog) cut() error {
	if err := l.file.Truncate(l.size); err != nil {
		return err
	}
	return l.file.Sync()
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// apply takes one record into the index.
func (l *blockLog) apply(body []byte, at int64) error {
	kind, payload := body[0], body[1:]
	if (l.origin == nil) != (kind == kindOrigin) {
		return fmt.Errorf("%w: origin is not the first record", ErrLogCorrupt)
	}
	switch kind {
	case kindOrigin:
		l.origin = new(origin)
		return rlp.DecodeBytes(payload, l.origin)
	case kindBlocks:
		var s segment
		if err := rlp.DecodeBytes(payload, &s); err != nil {
			return fmt.Errorf("decode blocks: %w", err)
		}
		return l.applySegment(s, at)
	case kindTx:
		l.addTx(crypto.Keccak256Hash(payload), at)
	case kindDrops:
		var drops []drop
		if err := rlp.DecodeBytes(payload, &drops); err != nil {
			return fmt.Errorf("decode drops: %w", err)
		}
		l.applyDrops(drops)
	default:
		return fmt.Errorf("%w: record of kind %q", ErrLogCorrupt, kind)
	}
	return nil
}

func (l *blockLog) addTx(h common.Hash, at int64) {
	l.txs = append(l.txs, h)
	l.offsets[h] = at
}

func (l *blockLog) applySegment(s segment, at int64) error {
	if s.First < 1 || s.First > uint64(len(l.canon))+1 || len(s.Hashes) != len(s.Blocks) || len(s.Hashes) == 0 {
		return fmt.Errorf("%w: blocks from %d do not connect", ErrLogCorrupt, s.First)
	}
	l.canon = l.canon[:s.First-1]
	for i, h := range s.Hashes {
		l.canon = append(l.canon, place{hash: h, offset: at, index: i})
	}
	l.applyDrops(s.Drops)
	return nil
}

func (l *blockLog) applyDrops(drops []drop) {
	for _, d := range drops {
		delete(l.offsets, d.Txid)
		l.gone[d.Txid] = common.Hash{}
		if len(d.Replacement) > 0 {
			l.gone[d.Txid] = crypto.Keccak256Hash(d.Replacement)
		}
	}
}

// append writes one record durably and takes it into the index.
func (l *blockLog) append(kind byte, payload []byte) error {
	if l.broken != nil {
		return fmt.Errorf("block log is out of order: %w", l.broken)
	}
	body := append([]byte{kind}, payload...)
	if len(body) > maxRecord {
		return fmt.Errorf("%w: log record of %d bytes", ErrRange, len(body))
	}
	record := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	record = binary.BigEndian.AppendUint32(record, checksum(body))
	record = append(record, body...)
	_, err := l.file.WriteAt(record, l.size)
	if err == nil {
		err = l.file.Sync()
	}
	if err != nil {
		// A record that may or may not be on disk must not be followed by another.
		if cutErr := l.cut(); cutErr != nil {
			l.broken = cutErr
		}
		return fmt.Errorf("append to block log: %w", err)
	}
	at := l.size
	l.size += int64(len(record))
	return l.apply(body, at)
}

func (l *blockLog) begin(o *origin) error {
	payload, err := rlp.EncodeToBytes(o)
	if err != nil {
		return fmt.Errorf("encode origin: %w", err)
	}
	return l.append(kindOrigin, payload)
}

// addBlocks logs blocks that are about to become canonical.
func (l *blockLog) addBlocks(blocks []*types.Block, drops []drop) error {
	s := segment{First: blocks[0].NumberU64(), Drops: drops}
	for _, b := range blocks {
		raw, err := rlp.EncodeToBytes(b)
		if err != nil {
			return fmt.Errorf("encode block: %w", err)
		}
		s.Hashes = append(s.Hashes, b.Hash())
		s.Blocks = append(s.Blocks, raw)
	}
	payload, err := rlp.EncodeToBytes(s)
	if err != nil {
		return fmt.Errorf("encode blocks: %w", err)
	}
	return l.append(kindBlocks, payload)
}

// addTransaction logs a transaction of the pool.
func (l *blockLog) addTransaction(tx *types.Transaction) error {
	raw, err := tx.MarshalBinary()
	if err != nil {
		return fmt.Errorf("encode transaction: %w", err)
	}
	return l.append(kindTx, raw)
}

// addDrops logs transactions that left the pool for good.
func (l *blockLog) addDrops(drops []drop) error {
	payload, err := rlp.EncodeToBytes(drops)
	if err != nil {
		return fmt.Errorf("encode drops: %w", err)
	}
	return l.append(kindDrops, payload)
}

func (l *blockLog) read(at int64) ([]byte, error) {
	var head [headerSize]byte
	if _, err := l.file.ReadAt(head[:], at); err != nil {
		return nil, fmt.Errorf("read block log: %w", err)
	}
	body := make([]byte, binary.BigEndian.Uint32(head[:4]))
	if _, err := l.file.ReadAt(body, at+headerSize); err != nil {
		return nil, fmt.Errorf("read block log: %w", err)
	}
	return body, nil
}

// block reads the canonical block at a height from 1 up.
func (l *blockLog) block(height uint64) (*types.Block, error) {
	p := l.canon[height-1]
	if l.cached != p.offset {
		body, err := l.read(p.offset)
		if err != nil {
			return nil, err
		}
		var s segment
		if err := rlp.DecodeBytes(body[1:], &s); err != nil {
			return nil, fmt.Errorf("decode blocks: %w", err)
		}
		l.cached, l.last = p.offset, s
	}
	b := new(types.Block)
	if err := rlp.DecodeBytes(l.last.Blocks[p.index], b); err != nil {
		return nil, fmt.Errorf("decode block %d: %w", height, err)
	}
	if b.Hash() != p.hash || b.NumberU64() != height {
		return nil, fmt.Errorf("%w: block %d is another one", ErrLogCorrupt, height)
	}
	return b, nil
}

// pending returns the raw transactions that were neither dropped nor, says the caller, mined.
func (l *blockLog) pending(mined func(common.Hash) bool) ([][]byte, error) {
	var raws [][]byte
	seen := map[common.Hash]bool{}
	for _, h := range l.txs {
		at, ok := l.offsets[h]
		if !ok || seen[h] || mined(h) {
			continue
		}
		seen[h] = true
		body, err := l.read(at)
		if err != nil {
			return nil, err
		}
		raws = append(raws, body[1:])
	}
	return raws, nil
}

func (l *blockLog) close() error { return errors.Join(l.file.Sync(), l.file.Close()) }
