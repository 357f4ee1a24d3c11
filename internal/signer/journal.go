package signer

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"time"
)

var (
	// ErrStopped: the journal could not be written for sure, so nothing more may leave this signer. The process must end;
	// a fresh start reads what is on the disk.
	ErrStopped = errors.New("signer: stopped after a journal failure")
	// ErrJournalDamaged: the journal has damage that no interrupted write explains. Put back the right file, or restore
	// from the recovery phrase.
	ErrJournalDamaged = errors.New("signer: journal is damaged")
	// ErrOtherSeed: the journal belongs to another seed.
	ErrOtherSeed = errors.New("signer: journal belongs to another seed")
)

// The journal, all numbers big-endian:
//
//	magic 8 | version 4 | id 16 | fingerprint of the seed 16 | created, Unix milliseconds 8 | mac 16     the header
//	payload's length 4 | CRC-32C of length and offset 4 | payload | mac 16                               each record
//
// Every mac is keyed from the seed and covers the one before it, so nothing can be changed, dropped or put in between
// without the seed; only the end can be cut. The header is epoch 1. It is written whole before the file gets its name.
const (
	journalMagic   = "PIPEJRNL"
	journalVersion = 1
	macSize        = 16
	journalHead    = 8 + 4 + 16 + 16 + 8 + macSize
	frameHead      = 4 + 4
	frameExtra     = frameHead + macSize
	sectorSize     = 512 // the least that a disk writes as one
	rewriteSize    = 64 << 10
)

// A disk is the file under a journal: *os.File, and in tests one that fails.
type disk interface {
	io.ReaderAt
	io.WriterAt
	Stat() (os.FileInfo, error)
	Truncate(size int64) error
	Sync() error
	Close() error
}

// seedKeys are what the journal takes from the seed; neither leads back to it.
type seedKeys struct {
	fingerprint [16]byte // tells seeds apart, public
	journal     []byte   // key of the journal's macs
}

func keysOf(seed []byte) seedKeys {
	take := func(use string) []byte {
		h := hmac.New(sha256.New, seed)
		h.Write([]byte(use)) // a hash never fails
		return h.Sum(nil)
	}
	return seedKeys{[16]byte(take("pipe signer: fingerprint of the seed")), take("pipe signer: key of the journal")}
}

// Links compute the macs, each over the whole sum before it.
type links struct {
	mac hash.Hash
	sum [sha256.Size]byte
}

func newLinks(key []byte) *links { return &links{mac: hmac.New(sha256.New, key)} }

func (c *links) add(parts ...[]byte) []byte {
	c.mac.Reset()
	c.mac.Write(c.sum[:]) // a hash never fails
	for _, p := range parts {
		c.mac.Write(p)
	}
	c.mac.Sum(c.sum[:0])
	return c.sum[:macSize]
}

// A journal is the open file and the book of what it says. It has no lock: its signer's mutex guards it.
type journal struct {
	path   string
	disk   disk
	id     string // random, lower-case hex: tells journals apart
	size   int64
	links  *links
	book   *book
	broken error // why it stopped; nil while whole
}

// journalStart is a journal's first bytes.
func journalStart(keys seedKeys, at time.Time) ([]byte, error) {
	head := append(make([]byte, 0, journalHead), journalMagic...)
	head = binary.BigEndian.AppendUint32(head, journalVersion)
	head = head[:len(head)+16]
	if _, err := rand.Read(head[12:28]); err != nil {
		return nil, fmt.Errorf("draw journal id: %w", err)
	}
	head = append(head, keys.fingerprint[:]...)
	head = binary.BigEndian.AppendUint64(head, uint64(at.UnixMilli()))
	return append(head, newLinks(keys.journal).add(head)...), nil
}

// checkStart reads a journal's first bytes and gives its id.
func checkStart(head []byte, keys seedKeys) (id string, err error) {
	if len(head) < journalHead || string(head[:8]) != journalMagic {
		return "", fmt.Errorf("%w: it does not begin like one", ErrJournalDamaged)
	}
	if v := binary.BigEndian.Uint32(head[8:]); v != journalVersion {
		return "", fmt.Errorf("%w: version %d, and this program reads %d", ErrJournalDamaged, v, journalVersion)
	}
	if !bytes.Equal(head[28:44], keys.fingerprint[:]) {
		return "", ErrOtherSeed
	}
	if !hmac.Equal(newLinks(keys.journal).add(head[:journalHead-macSize]), head[journalHead-macSize:journalHead]) {
		return "", fmt.Errorf("%w: the first bytes were altered", ErrJournalDamaged)
	}
	return hex.EncodeToString(head[12:28]), nil
}

// openJournal reads a journal whole. Of an interrupted last write nothing was ever acknowledged, so it is cut away;
// the marks then skip as far as one write could have raised them, in case the disk lost more than it should.
func openJournal(path string, d disk, keys seedKeys, now func() time.Time) (j *journal, torn bool, err error) {
	info, err := d.Stat()
	if err != nil {
		return nil, false, fmt.Errorf("look at journal: %w", err)
	}
	j = &journal{path: path, disk: d, links: newLinks(keys.journal), book: newBook()}
	in := bufio.NewReaderSize(io.NewSectionReader(d, 0, info.Size()), 1<<20)
	head := make([]byte, min(journalHead, info.Size()))
	if _, err := io.ReadFull(in, head); err != nil {
		return nil, false, fmt.Errorf("read journal: %w", err)
	}
	if j.id, err = checkStart(head, keys); err != nil {
		return nil, false, err
	}
	j.links.add(head[:journalHead-macSize])
	j.size = journalHead
	if torn, err = j.replay(in, info.Size()); err != nil {
		return nil, false, err
	}
	if err := j.settle(info.Size()); err != nil {
		return nil, false, err
	}
	if torn {
		err = j.append(now(), skip{MaxRelease})
	}
	return j, torn, err
}

// replay takes in all records and stops behind the last whole one.
func (j *journal) replay(in io.Reader, size int64) (torn bool, err error) {
	var frame, mac = make([]byte, frameHead), make([]byte, macSize)
	var payload []byte
	for j.size < size {
		left := size - j.size
		if left < frameHead {
			return true, nil
		}
		if _, err := io.ReadFull(in, frame); err != nil {
			return false, fmt.Errorf("read journal: %w", err)
		}
		length := int64(binary.BigEndian.Uint32(frame))
		if !bytes.Equal(frame, frameStart(uint32(length), j.size)) || length > MaxRecord {
			return j.unwritten(size)
		}
		if left < length+frameExtra {
			return true, nil
		}
		payload = append(payload[:0], make([]byte, length)...)
		if _, err := io.ReadFull(in, payload); err != nil {
			return false, fmt.Errorf("read journal: %w", err)
		}
		if _, err := io.ReadFull(in, mac); err != nil {
			return false, fmt.Errorf("read journal: %w", err)
		}
		was := j.links.sum
		if !hmac.Equal(j.links.add(frame, payload), mac) {
			j.links.sum = was
			return j.unwritten(size)
		}
		if err := j.take(payload); err != nil {
			return false, fmt.Errorf("%w: record at byte %d: %w", ErrJournalDamaged, j.size, err)
		}
		j.size += length + frameExtra
	}
	return false, nil
}

// unwritten decides about bytes that are no record: after a power cut some file systems show a grown file whose last
// sectors were never written and read as zeros. That is an interrupted write where no more than one record is at stake.
// Anything else is damage.
func (j *journal) unwritten(size int64) (torn bool, err error) {
	damage := fmt.Errorf("%w at byte %d: that is no record of this journal", ErrJournalDamaged, j.size)
	if size-j.size > MaxRecord+frameExtra {
		return false, damage
	}
	last := make([]byte, size-max(j.size, (size-1)/sectorSize*sectorSize))
	if _, err := j.disk.ReadAt(last, size-int64(len(last))); err != nil {
		return false, fmt.Errorf("read end of journal: %w", err)
	}
	if len(bytes.Trim(last, "\x00")) > 0 {
		return false, damage
	}
	return true, nil
}

func (j *journal) take(payload []byte) error {
	r, err := decode(payload)
	if err != nil {
		return err
	}
	if err := r.check(j.book); err != nil {
		return err
	}
	j.enter(r, payload)
	return nil
}

// enter takes a record, which lies at the journal's end, into the book.
func (j *journal) enter(r record, payload []byte) {
	j.book.at = int64(binary.BigEndian.Uint64(payload[1:]))
	j.book.spot = spotOf(j.size, payload)
	r.apply(j.book)
}

// read gives a record that was taken in before. Bytes that are not what they were then stop the journal.
func (j *journal) read(at spot) (record, error) {
	payload := make([]byte, at.length)
	if _, err := j.disk.ReadAt(payload, at.off+frameHead); err != nil {
		return nil, j.stop(fmt.Errorf("read journal: %w", err))
	}
	if spotOf(at.off, payload) != at {
		return nil, j.stop(fmt.Errorf("%w: record at byte %d changed", ErrJournalDamaged, at.off))
	}
	r, err := decode(payload)
	if err != nil {
		return nil, j.stop(fmt.Errorf("%w: record at byte %d: %w", ErrJournalDamaged, at.off, err))
	}
	return r, nil
}

// settle makes sure that what was read is on the disk. After a failed fsync the kernel may hold pages that it calls clean
// but that never reached the disk (PostgreSQL met this before 11.2), so the end is written again, byte for byte.
func (j *journal) settle(size int64) error {
	if size > j.size {
		if err := j.disk.Truncate(j.size); err != nil {
			return fmt.Errorf("cut interrupted write from journal: %w", err)
		}
	}
	from := max(0, j.size-rewriteSize)
	tail := make([]byte, j.size-from)
	if _, err := j.disk.ReadAt(tail, from); err != nil {
		return fmt.Errorf("read end of journal: %w", err)
	}
	if _, err := j.disk.WriteAt(tail, from); err != nil {
		return fmt.Errorf("write end of journal again: %w", err)
	}
	if err := j.disk.Sync(); err != nil {
		return fmt.Errorf("sync journal: %w", err)
	}
	return nil
}

// append makes a record durable and then takes it into the book. One that the book refuses leaves everything as it was. Any
// failure of the disk is final: whether the bytes are there nobody can tell, so from then on append gives ErrStopped.
func (j *journal) append(now time.Time, r record) error {
	if j.broken != nil {
		return j.broken
	}
	if err := r.check(j.book); err != nil {
		return err
	}
	if err := j.mine(); err != nil {
		return j.stop(err)
	}
	out := j.links.frames(j.size, now, r)
	if len(out) > MaxRecord+frameExtra { // the bounds of all fields together forbid it
		return j.stop(fmt.Errorf("%w: %d bytes", errRecord, len(out)))
	}
	if _, err := j.disk.WriteAt(out, j.size); err != nil {
		return j.stop(fmt.Errorf("write journal: %w", err))
	}
	if err := j.disk.Sync(); err != nil {
		return j.stop(fmt.Errorf("sync journal: %w", err))
	}
	j.enter(r, out[frameHead:len(out)-macSize])
	j.size += int64(len(out))
	return nil
}

// frames writes records as they follow each other from an offset on.
func (c *links) frames(offset int64, now time.Time, records ...record) []byte {
	var out []byte
	for _, r := range records {
		payload := encode(r, now.UnixMilli())
		frame := frameStart(uint32(len(payload)), offset+int64(len(out)))
		out = append(append(append(out, frame...), payload...), c.add(frame, payload)...)
	}
	return out
}

// mine checks that the file is still the one that stands at the path and has grown by nobody else: a backup put back
// under a running signer must stop it, not be written past.
func (j *journal) mine() error {
	here, err := j.disk.Stat()
	if err != nil {
		return fmt.Errorf("look at journal: %w", err)
	}
	there, err := os.Stat(j.path)
	if err != nil {
		return fmt.Errorf("look at journal: %w", err)
	}
	if !os.SameFile(here, there) {
		return errors.New("another file was put in the journal's place")
	}
	if here.Size() != j.size {
		return fmt.Errorf("journal has %d bytes and should have %d: somebody else writes it", here.Size(), j.size)
	}
	return nil
}

func (j *journal) stop(why error) error {
	j.broken = fmt.Errorf("%w: %w", ErrStopped, why)
	return j.broken
}

func frameStart(length uint32, offset int64) []byte {
	var seal [12]byte
	binary.BigEndian.PutUint32(seal[:], length)
	binary.BigEndian.PutUint64(seal[4:], uint64(offset))
	sum := crc32.Checksum(seal[:], crc32.MakeTable(crc32.Castagnoli))
	return binary.BigEndian.AppendUint32(seal[:4:4], sum)
}
