package bitcoin

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// journalMagic opens the file and names its format.
const journalMagic = "PIPE-REGTEST-1\n"

// recordKind says what a record does when it is replayed.
type recordKind byte

const (
	recordBlock      recordKind = 'B' // a block was accepted: its bytes
	recordInvalidate recordKind = 'I' // a block was invalidated: its hash
	recordTx         recordKind = 'T' // a transaction entered the mempool: unix time (8 bytes), its bytes
	recordDrop       recordKind = 'D' // transactions were dropped: their hashes
)

// frameBytes is a record's framing: length (4), kind (1) before the payload, CRC-32C (4) after it.
const frameBytes = 4 + 1 + 4

var errDamaged = errors.New("damaged journal")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// journal is the chain's memory: every accepted change, in order, checksummed. The block database beside it
// is only a cache, because it does not survive a SIGKILL. A record torn off at the end of the file was never
// acknowledged and is cut; damage anywhere else is an error.
type journal struct {
	file  *os.File
	size  int64 // bytes
	dirty bool
}

// openJournal opens or creates the journal at path and hands each whole record to replay, in order.
func openJournal(path string, replay func(recordKind, []byte) error) (*journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j := &journal{file: file}
	if err := j.load(path, replay); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return j, nil
}

func (j *journal) load(path string, replay func(recordKind, []byte) error) error {
	info, err := j.file.Stat()
	if err != nil {
		return fmt.Errorf("stat journal: %w", err)
	}
	if info.Size() < int64(len(journalMagic)) {
		return j.create(path)
	}
	in := bufio.NewReaderSize(j.file, 1<<20)
	magic := make([]byte, len(journalMagic))
	if _, err := io.ReadFull(in, magic); err != nil {
		return fmt.Errorf("read journal: %w", err)
	}
	if string(magic) != journalMagic {
		return fmt.Errorf("%w: %s is not a journal of this program", errDamaged, path)
	}
	at := int64(len(journalMagic))
	for at < info.Size() {
		kind, payload, err := readRecord(in, info.Size()-at)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read journal at offset %d: %w", at, err)
		}
		if err := replay(kind, payload); err != nil {
			return fmt.Errorf("replay journal at offset %d: %w", at, err)
		}
		at += int64(frameBytes + len(payload))
	}
	if err := j.file.Truncate(at); err != nil {
		return fmt.Errorf("cut the journal's torn tail: %w", err)
	}
	j.size = at
	if _, err := j.file.Seek(at, io.SeekStart); err != nil {
		return fmt.Errorf("seek in journal: %w", err)
	}
	return nil
}

// create starts an empty journal and makes its name durable.
func (j *journal) create(path string) error {
	if err := j.file.Truncate(0); err != nil {
		return fmt.Errorf("truncate journal: %w", err)
	}
	if _, err := j.file.WriteAt([]byte(journalMagic), 0); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	if _, err := j.file.Seek(0, io.SeekEnd); err != nil {
		return fmt.Errorf("seek in journal: %w", err)
	}
	j.size, j.dirty = int64(len(journalMagic)), true
	if err := j.sync(); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// readRecord reads one record of at most left bytes. io.ErrUnexpectedEOF means a torn tail.
func readRecord(in io.Reader, left int64) (recordKind, []byte, error) {
	if left < frameBytes {
		return 0, nil, io.ErrUnexpectedEOF
	}
	var head [5]byte
	if _, err := io.ReadFull(in, head[:]); err != nil {
		return 0, nil, err
	}
	size := int64(binary.BigEndian.Uint32(head[:4]))
	if size > left-frameBytes {
		return 0, nil, io.ErrUnexpectedEOF
	}
	if size > maxRecordBytes {
		return 0, nil, fmt.Errorf("%w: record of %d bytes", errDamaged, size)
	}
	body := make([]byte, size+4)
	if _, err := io.ReadFull(in, body); err != nil {
		return 0, nil, err
	}
	sum := crc32.Update(crc32.Checksum(head[4:], castagnoli), castagnoli, body[:size])
	if sum != binary.BigEndian.Uint32(body[size:]) {
		if size == left-frameBytes { // the last record: torn inside
			return 0, nil, io.ErrUnexpectedEOF
		}
		return 0, nil, fmt.Errorf("%w: checksum", errDamaged)
	}
	return recordKind(head[4]), body[:size], nil
}

// append writes a record; it is durable after sync.
func (j *journal) append(kind recordKind, payload []byte) error {
	record := make([]byte, 0, frameBytes+len(payload))
	record = binary.BigEndian.AppendUint32(record, uint32(len(payload)))
	record = append(record, byte(kind))
	record = append(record, payload...)
	record = binary.BigEndian.AppendUint32(record, crc32.Checksum(record[4:], castagnoli))
	j.dirty = true
	if _, err := j.file.Write(record); err != nil {
		return fmt.Errorf("write journal: %w", err)
	}
	j.size += int64(len(record))
	return nil
}

func (j *journal) sync() error {
	if !j.dirty {
		return nil
	}
	if err := j.file.Sync(); err != nil {
		return fmt.Errorf("sync journal: %w", err)
	}
	j.dirty = false
	return nil
}

func (j *journal) close() error {
	return errors.Join(j.sync(), j.file.Close())
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open directory: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	return nil
}
