package signer

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/text/unicode/norm"
)

var (
	// ErrPassphrase: the passphrase does not open the seed file (or somebody altered the file and its checksum on purpose;
	// encryption does not tell the two apart), or it cannot be used as one.
	ErrPassphrase = errors.New("signer: wrong passphrase")
	// ErrSeedDamaged: the seed file is cut, altered, or no seed file.
	ErrSeedDamaged = errors.New("signer: seed file is damaged")
	// ErrSeedVersion: the seed file is of a version that this program does not read.
	ErrSeedVersion = errors.New("signer: seed file of an unknown version")
	// ErrKDF: the key derivation asked for is outside what the limits allow.
	ErrKDF = errors.New("signer: key derivation out of bounds")
)

// A KDF says how a passphrase becomes a key, with argon2id (RFC 9106). Memory is in KiB.
type KDF struct {
	Memory, Passes uint32
	Lanes          uint8
}

func (k KDF) check() error {
	if k.Passes < 1 || k.Passes > maxKDFPasses || k.Lanes < 1 || k.Lanes > maxKDFLanes ||
		k.Memory < 8*uint32(k.Lanes) || k.Memory > maxKDFMemory {
		return fmt.Errorf("%w: memory %d KiB, %d passes, %d lanes", ErrKDF, k.Memory, k.Passes, k.Lanes)
	}
	return nil
}

// The seed file, all numbers big-endian:
//
//	magic 8 | version 2 | kdf 1 | cipher 1 | memory KiB 4 | passes 4 | lanes 4 | salt 32 | nonce 24   the header
//	the 64 bytes of the seed under XChaCha20-Poly1305, the header as associated data: 80
//	SHA-256 of all before: 32
//
// The checksum finds decay before the passphrase is blamed for it; it guards against nobody. The rest does.
const (
	sealMagic    = "PIPESEED"
	sealVersion  = 1
	sealArgon2id = 1
	sealXChaCha  = 1
	saltSize     = 32
	sealHeader   = 8 + 2 + 1 + 1 + 4 + 4 + 4 + saltSize + chacha20poly1305.NonceSizeX
	sealSize     = sealHeader + seedSize + chacha20poly1305.Overhead + sha256.Size
)

// seal encrypts a seed under a passphrase, with a fresh salt and nonce.
func seal(seed []byte, passphrase Secret, kdf KDF) ([]byte, error) {
	if err := kdf.check(); err != nil {
		return nil, err
	}
	file := make([]byte, 0, sealSize)
	file = append(file, sealMagic...)
	file = binary.BigEndian.AppendUint16(file, sealVersion)
	file = append(file, sealArgon2id, sealXChaCha)
	file = binary.BigEndian.AppendUint32(file, kdf.Memory)
	file = binary.BigEndian.AppendUint32(file, kdf.Passes)
	file = binary.BigEndian.AppendUint32(file, uint32(kdf.Lanes))
	file = file[:sealHeader]
	if _, err := rand.Read(file[sealHeader-saltSize-chacha20poly1305.NonceSizeX:]); err != nil {
		return nil, fmt.Errorf("draw salt: %w", err)
	}
	key, err := stretch(passphrase, kdf, file)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	box, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("set up cipher: %w", err)
	}
	file = box.Seal(file, file[sealHeader-chacha20poly1305.NonceSizeX:sealHeader], seed, file[:sealHeader])
	sum := sha256.Sum256(file)
	return append(file, sum[:]...), nil
}

// unseal is the seed in a seed file.
func unseal(file []byte, passphrase Secret) ([]byte, error) {
	kdf, err := readSeal(file)
	if err != nil {
		return nil, err
	}
	key, err := stretch(passphrase, kdf, file)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	box, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("set up cipher: %w", err)
	}
	head, sealed := file[:sealHeader], file[sealHeader:sealSize-sha256.Size]
	seed, err := box.Open(nil, head[sealHeader-chacha20poly1305.NonceSizeX:], sealed, head)
	if err != nil {
		return nil, ErrPassphrase // the cipher's own error says no more
	}
	return seed, nil
}

// readSeal checks all of a seed file that can be checked without the passphrase, and says what opening it costs.
func readSeal(file []byte) (KDF, error) {
	if len(file) < 10 || string(file[:8]) != sealMagic {
		return KDF{}, fmt.Errorf("%w: it does not begin like one", ErrSeedDamaged)
	}
	if v := binary.BigEndian.Uint16(file[8:]); v != sealVersion {
		return KDF{}, fmt.Errorf("%w: %d, and this program reads %d", ErrSeedVersion, v, sealVersion)
	}
	if len(file) != sealSize {
		return KDF{}, fmt.Errorf("%w: it has %d bytes and must have %d", ErrSeedDamaged, len(file), sealSize)
	}
	body, sum := file[:sealSize-sha256.Size], sha256.Sum256(file[:sealSize-sha256.Size])
	if !bytes.Equal(sum[:], file[len(body):]) {
		return KDF{}, fmt.Errorf("%w: the checksum differs", ErrSeedDamaged)
	}
	if file[10] != sealArgon2id || file[11] != sealXChaCha {
		return KDF{}, fmt.Errorf("%w: unknown key derivation or cipher", ErrSeedVersion)
	}
	lanes := binary.BigEndian.Uint32(file[20:])
	if lanes > maxKDFLanes {
		return KDF{}, fmt.Errorf("%w: %d lanes", ErrKDF, lanes)
	}
	kdf := KDF{binary.BigEndian.Uint32(file[12:]), binary.BigEndian.Uint32(file[16:]), uint8(lanes)}
	return kdf, kdf.check()
}

// stretch makes the key. Passphrases are compared in NFKD, as one keyboard writes 한 in one code point and another in three.
func stretch(passphrase Secret, kdf KDF, header []byte) ([]byte, error) {
	text := norm.NFKD.Bytes([]byte(passphrase.Reveal()))
	defer clear(text)
	if len(text) < MinPassphrase || len(text) > MaxPassphrase {
		return nil, fmt.Errorf("%w: it must have %d to %d bytes", ErrPassphrase, MinPassphrase, MaxPassphrase)
	}
	salt := header[sealHeader-chacha20poly1305.NonceSizeX-saltSize : sealHeader-chacha20poly1305.NonceSizeX]
	return argon2.IDKey(text, salt, kdf.Passes, kdf.Memory, kdf.Lanes, chacha20poly1305.KeySize), nil
}

// readSealFile reads no more of a file than a seed file can have.
func readSealFile(path string) (data []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open seed file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if data, err = io.ReadAll(io.LimitReader(f, sealSize+1)); err != nil {
		return nil, fmt.Errorf("read seed file: %w", err)
	}
	return data, nil
}
