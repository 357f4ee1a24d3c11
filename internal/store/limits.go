package store

import "time"

const (
	// TxRetries is how often a transaction is tried again after a conflict (reliability).
	TxRetries = 10
	// TxPause is the first pause between two tries; it doubles with each further one up to TxPauseMax. Jitter takes up to
	// half of it away.
	TxPause    = 2 * time.Millisecond
	TxPauseMax = 100 * time.Millisecond
	// TxAlone is the try from which on a transaction on PostgreSQL runs alone in this process and, among all, one at a
	// time, so that no crowd can starve it.
	TxAlone = 3
	// TxTimeout bounds one try on PostgreSQL, its commit included. A commit that has not answered by then is one of unknown
	// outcome.
	TxTimeout = 30 * time.Second
	// OpenTimeout bounds the checks at opening.
	OpenTimeout = 15 * time.Second

	// GroupSize is how many transactions share a commit on SQLite at most.
	GroupSize = 256
	// GroupAge is how long a shared commit stays open for further transactions.
	GroupAge = 10 * time.Millisecond
	// Readers is how many connections read on SQLite beside the one that writes.
	Readers = 8
	// BusyTimeout is how long SQLite waits for the lock of a command that runs beside.
	BusyTimeout = 10 * time.Second
	// JournalSize bounds the write-ahead log that SQLite keeps between checkpoints, in bytes.
	JournalSize = 64 << 20

	// Writers and Viewers bound the connections to PostgreSQL: more transactions at once would only conflict more.
	Writers = 8
	Viewers = 16

	// CountGiven is up to how many given addresses of a merchant and network PoolLevels counts: pools stop growing well
	// below.
	CountGiven = 4_096

	// FewDue is how many due callbacks are few: their origins are read from them. Of more, the origins of all that are open are
	// walked instead, which costs by the number of origins and not of callbacks. A choice: what one claim may take.
	FewDue = 64

	// MinSQLite is the oldest version without the WAL-reset corruption, as SQLite numbers it: 3.51.3.
	MinSQLite = 3_051_003
	// MinPostgres is the oldest major version of PostgreSQL.
	MinPostgres = 15
)
