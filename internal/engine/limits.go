package engine

import "time"

const (
	// BlocksPerStep bounds how many blocks one step of the watcher connects or disconnects.
	BlocksPerStep = 64
	// KeepBlocks is how many recent blocks each network's cursor keeps, which bounds the depth of a reorganisation that is
	// undone step by step.
	KeepBlocks = 2_000
	// Batch bounds the lists that a step reads at once.
	Batch = 500
	// HotAccounts bounds the accounts weighed at every block (ethereum.ActiveSet).
	HotAccounts = 5_000
	// HotFor is how long an address is weighed at every block after its last quote ended; after that it is weighed in the
	// recount.
	HotFor = 48 * time.Hour
	// MaxSkew is how far the clock and a network's newest block may differ before nothing expires any more.
	MaxSkew = 5 * time.Minute

	// FinalityStall is how many blocks the chain may grow beyond what it calls final before its finality counts as stalled.
	FinalityStall = 96

	// PoolSize is how many addresses are kept ready per merchant and network at first; it doubles with use up to MaxPool.
	PoolSize = 20
	// MaxPool bounds PoolSize's doubling.
	MaxPool = 1_000
	// ReleaseOverlap is how far back the watch set looks for released addresses whose rows commit late.
	ReleaseOverlap = time.Minute
	// SeenBatch bounds the credits outside blocks that one commit takes in. A choice: a page and a shop wait for the commit, so
	// few wait for each other, and more at once would save little.
	SeenBatch = 8
	// TicketOverlap is how many deposits the set of outpoints looks back for rows that commit late.
	TicketOverlap = 200
	// ReleaseBatch bounds the addresses asked of the signer in one call.
	ReleaseBatch = 200

	// CallbackLease is how long a claimed callback is left to its worker: above the longest send (webhook.Total) and
	// BookWithin together. After a crash it is how long the callback waits.
	CallbackLease = 20 * time.Second
	// CallbackBatch bounds the callbacks claimed at once (webhook.Global).
	CallbackBatch = 64
	// CallbackPerClaim bounds the callbacks of one origin in one claim: more than its lane takes would be given back.
	CallbackPerClaim = 1
	// CallbackRest is by how much the pause after a claim that found nothing is longer than the claim itself took. A choice:
	// a quarter of the time at most is spent looking in vain.
	CallbackRest = 3

	// AsideAfter is how often in a row one invoice or callback may fail a step before it is put aside for AsideFor.
	AsideAfter = 3
	AsideFor   = time.Minute
	// AsideMost bounds how many are remembered so; MaxFailures how many may fail in one step before it ends.
	AsideMost   = 1_000
	MaxFailures = 20

	// SpendLease is how long a claimed spend is left to its worker: above a build, a signature and a broadcast together.
	// After a crash it is how long the spend waits.
	SpendLease = 30 * time.Second
	// SpendBatch bounds the spends claimed at once.
	SpendBatch = 32
	// SignedBatch is how many signed spends the signer is asked for at once (signer.MaxListed).
	SignedBatch = 100
	// MaxVersions bounds the versions of a spend (engine.BumpAfter).
	MaxVersions = 10
	// MaxHoldings bounds the tickets of a spend (bitcoin.MaxInputs).
	MaxHoldings = 50
	// MaxGathered bounds the outputs that one round of gathering brings together: into as many as one spend may use. What is
	// left is gathered by the next round. MaxGathers bounds the accounts of a round, each of which is a spend of its own.
	MaxGathered = MaxHoldings * MaxHoldings
	MaxGathers  = 400
	// GatherShare is what of an output, in millionths, the network fee for spending it may take when outputs are gathered: half
	// of what the signer allows of a gather (signer.WithdrawShare).
	GatherShare = 100_000
	// LookAgain is how many times Net.Retry a payout rests that waits for something that changes slowly, as fees do.
	LookAgain = 10
	// AddressAgain is how long a payout rests that waits for a person: what that person does wakes it at once.
	AddressAgain = 24 * time.Hour

	// AuditBlocks is how many of the newest blocks an audit reads again even where nothing of ours is booked in them: more
	// than come between two audits.
	AuditBlocks = 24

	// MaxOverlap is how long an old API key may live beside a new one.
	MaxOverlap = 30 * 24 * time.Hour
	// BookWithin is how long a process that is out of time may still take to book what a shop answered, or that a node did not.
	BookWithin = 5 * time.Second

	// IdempotencyKeep is how long an Idempotency-Key is remembered (contract: at least 24 h).
	IdempotencyKeep = 72 * time.Hour
	// EventOverlap is how far the tail of the log looks back, for rows that commit late.
	EventOverlap = 10 * time.Second
	// TailBatch bounds the events read at once.
	TailBatch = 1_000
	// Subscribers bounds the open pages of one process.
	Subscribers = 20_000
	// MaxLogoSide bounds width and height of a logo, in pixels: it is shown 40 px high, at up to three pixels a dot.
	MaxLogoSide = 1_024
	// MaxTxIDText bounds the text that a payer's transaction id is looked for in, in bytes: an explorer's link and its id.
	MaxTxIDText = 300

	// MaxFailedSignIns wrong passwords or codes in a row make an account rest for SignInPause (admin.SignInRate).
	MaxFailedSignIns = 10
	SignInPause      = 15 * time.Minute
	// StepUpFor is how long dangerous acts are allowed after a second factor (admin.StepUp), and how long a half log-in waits
	// for one.
	StepUpFor = 5 * time.Minute
	// SeenEvery is how often at most the last use of a session is written down: it costs a write.
	SeenEvery = time.Minute
	// PasswordMemory, in KiB, and PasswordPasses are the cost of argon2id (OWASP; admin.PasswordHash); PasswordsAtOnce bounds
	// the hashes under way: 19 MiB each.
	PasswordMemory  = 19 << 10
	PasswordPasses  = 2
	PasswordsAtOnce = 4
	// MinPassword, in characters, and MaxPassword, in bytes, bound a password; MinDifferent is how many different characters
	// it has at least. Choices after NIST SP 800-63B.
	MinPassword  = 10
	MaxPassword  = 256
	MinDifferent = 5
	// MaxCode bounds the text of a code, MaxAgent what a browser calls itself, both in bytes.
	MaxCode  = 40
	MaxAgent = 200
	// MaxDevice bounds what a browser keeps of an earlier log-in, in bytes.
	MaxDevice = 512
	// TokenBytes is the randomness of sessions and links, in bytes; RecoveryCodes how many recovery codes are made at once.
	TokenBytes    = 32
	RecoveryCodes = 10
	// totpSeconds is a time step, totpWindow how many steps a phone's clock may be off either way (RFC 6238, 5.2), totpBytes
	// the length of a secret (RFC 4226, 4), in bytes.
	totpSeconds = 30
	totpWindow  = 1
	totpBytes   = 20
	// MaxMembers bounds a team, MaxMerchants the teams of one person, MaxInvites the invitations that are open, MaxSessions
	// the log-ins listed, MaxPasskeys the passkeys of one person. Choices.
	MaxMembers   = 200
	MaxMerchants = 100
	MaxInvites   = 50
	MaxSessions  = 100
	MaxPasskeys  = 20
	// MaxEmailAsks bounds the changes of one person's address that wait to be confirmed, MaxEmailUndos those that can still be
	// undone: each sends letters to addresses that nobody proved. Choices.
	MaxEmailAsks  = 3
	MaxEmailUndos = 10
	// SetupFor, SignUpFor, InviteFor, ResetFor, EmailFor and UndoFor are how long links work.
	SetupFor  = time.Hour
	SignUpFor = 24 * time.Hour
	InviteFor = 7 * 24 * time.Hour
	ResetFor  = time.Hour
	EmailFor  = time.Hour
	UndoFor   = 7 * 24 * time.Hour
	// VetoFor is how long the link in a letter forbids a settlement address: above the signer's delay. MaxVeto bounds its token, in bytes:
	// what a letter can hold (mail.MaxValue) is enough. Choices.
	VetoFor = 7 * 24 * time.Hour
	MaxVeto = 300
	// PersonKeep is how long log-ins, links and letters that are over are kept.
	PersonKeep = 30 * 24 * time.Hour
	// PageRows is how many rows a page of a list shows.
	PageRows = 50

	// MailLease is how long a claimed letter is left to its sender: above mail.TotalTimeout. MailBatch bounds the letters of one
	// step, MaxMailDetail what is kept of a server's reply, in bytes.
	MailLease     = time.Minute
	MailBatch     = 20
	MaxMailDetail = 200

	// MaxApplications bounds the applications of a merchant that are listed, MaxCounted the invoices that a list counts,
	// MaxSearch what is searched for, in bytes, MaxResend the callbacks that one act sends again. Choices.
	MaxApplications = 200
	MaxCounted      = 200_000
	MaxSearch       = 200
	MaxResend       = 1_000
	// MaxPeerNotes bounds the addresses remembered of keys, and of applications; MaxSecrets the callback secrets that sign at once.
	// Choices.
	MaxPeerNotes = 10_000
	MaxSecrets   = 4
	// MaxStory bounds the events, the callbacks, the tries of each and the acts that the story of one invoice tells.
	MaxStory = 500
	// StuckAfter is how long coins may be on their way before somebody should look. A choice: blocks come, and fees are raised, within
	// hours.
	StuckAfter = 6 * time.Hour
	// MaxNotes bounds the notes to one invoice, MaxNote each, in characters. Choices.
	MaxNotes = 100
	MaxNote  = 1_000
	// MaxViews bounds the views that a person saves at a merchant, MaxViewName the name of each, in characters, MaxViewQuery its filters, in
	// bytes. Choices.
	MaxViews     = 20
	MaxViewName  = 60
	MaxViewQuery = 1_000
	// FoldAfter is how long an hour is over before its sales are added up for good: far above the longest transaction, and above the
	// skew of clocks. FoldRows is how many invoices are added up at once, more where one hour has more.
	FoldAfter = 30 * time.Minute
	FoldRows  = 5_000
	// MaxSaleHours bounds the sums of hours that a chart adds up: above all that 90 days can have, in two coins, in none, and in two
	// currencies.
	MaxSaleHours = 91 * 24 * 3 * 2
	// MaxPrices bounds the different prices by day and coin that a chart adds up of hours that are not yet over, MaxRiskPages the pages of Batch accounts that the
	// operator's page adds up, MaxReason why payouts are halted, in characters. Choices.
	MaxPrices    = 50_000
	MaxRiskPages = 100
	MaxReason    = 200
	// MaxTries is more than the tries that any callback has.
	MaxTries = 1 << 30
)
