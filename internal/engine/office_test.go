package engine_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 6238's default
	"database/sql"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/pgtest"
	"github.com/pipe-pg/pipe/internal/store"
)

const (
	ownerMail = "owner@shop.example"
	sesame    = "correct horse battery"
)

// aead is a sealer under a random key.
type aead struct{ cipher.AEAD }

func newAEAD(t *testing.T) aead {
	t.Helper()
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	g, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	return aead{g}
}

func (a aead) Seal(clear []byte) ([]byte, error)  { return a.AEAD.Seal(nil, nil, clear, nil), nil }
func (a aead) Open(sealed []byte) ([]byte, error) { return a.AEAD.Open(nil, nil, sealed, nil) }

// bureau is an office over a real store, with a clock that tests move.
type bureau struct {
	*testing.T
	*engine.Office
	store *store.Store
	url   string
	shop  payment.Merchant
	owner payment.User

	mu  sync.Mutex // guards now
	now time.Time
}

func (b *bureau) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bureau) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

// eachBureau runs a test on both databases.
func eachBureau(t *testing.T, run func(t *testing.T, b *bureau)) {
	t.Helper()
	eachOffice(t, func(t *testing.T, open func(t *testing.T) *bureau) { run(t, open(t)) })
}

// eachOffice runs a test on both databases that opens several.
func eachOffice(t *testing.T, run func(t *testing.T, open func(t *testing.T) *bureau)) {
	t.Helper()
	for name, url := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "pipe.db") },
		"postgres": func(t *testing.T) string { return pgtest.URL(t) },
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(t *testing.T) *bureau {
				t.Helper()
				return newBureau(t, url(t))
			})
		})
	}
}

func newBureau(t *testing.T, url string) *bureau {
	t.Helper()
	b := &bureau{T: t, now: time.Now(), url: url}
	log := slog.New(slog.DiscardHandler)
	if _, _, err := store.Migrate(t.Context(), url, nil); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), store.Options{URL: url, Logger: log, Now: b.clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	b.store = s
	b.Office = &engine.Office{
		Store: s, Sealer: newAEAD(t), Hasher: engine.NewHasher(), URL: "https://admin.example", SignUp: engine.SignUpOpen, Mails: true, Log: log,
	}
	if b.shop, err = (&engine.Desk{Store: s, Log: log}).AddMerchant(t.Context(), "가게"); err != nil {
		t.Fatal(err)
	}
	b.owner = b.member(ownerMail, payment.Owner)
	return b
}

// member is a user with the password and this role.
func (b *bureau) member(email string, role payment.Role) payment.User {
	b.Helper()
	u, err := b.AddUser(b.Context(), engine.NewUser{Email: email, Name: "Kim", Password: sesame, Language: payment.English})
	b.must(err)
	b.must(b.store.Update(b.Context(), func(tx engine.Tx) error {
		return tx.AddMember(payment.Member{UserID: u.ID, MerchantID: b.shop.ID, Role: role, CreatedAt: tx.Now()})
	}))
	return u
}

func (b *bureau) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// refused checks that an error is a refusal with this word.
func (b *bureau) refused(what string, err error, word string) {
	b.Helper()
	var e *payment.Error
	if !errors.As(err, &e) || e.Word != word {
		b.Errorf("%s: %v, want a refusal %s", what, err, word)
	}
}

func (b *bureau) user(email string) (u payment.User) {
	b.Helper()
	b.must(b.store.View(b.Context(), func(tx engine.Tx) (err error) { u, err = tx.UserByEmail(email); return err }))
	return u
}

// in logs in with the password and must get a full session.
func (b *bureau) in(email string) (engine.Entrance, engine.By) {
	b.Helper()
	e, err := b.LogIn(b.Context(), email, sesame, engine.Caller{IP: "192.0.2.1"})
	b.must(err)
	return e, b.visit(e.Token)
}

func (b *bureau) visit(token string) engine.By {
	b.Helper()
	by, err := b.Visit(b.Context(), token, engine.Caller{IP: "192.0.2.1"})
	b.must(err)
	return by
}

// phone is an authenticator app, written apart from the code under test.
type phone []byte

func (p phone) code(at time.Time) string {
	var msg [8]byte
	binary.BigEndian.PutUint64(msg[:], uint64(at.Unix()/30))
	h := hmac.New(sha1.New, p)
	h.Write(msg[:])
	sum := h.Sum(nil)
	from := sum[19] & 15
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[from:from+4])&0x7fffffff%1_000_000)
}

// enrol turns the authenticator app on.
func (b *bureau) enrol(by engine.By) (phone, []string) {
	b.Helper()
	s, err := b.NewTOTP(by)
	b.must(err)
	secret, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(s.Secret)
	b.must(err)
	codes, err := b.EnrolTOTP(b.Context(), by, engine.Enrolment{Sealed: s.Sealed, Code: phone(secret).code(b.clock()), Password: sesame})
	b.must(err)
	b.pass(30 * time.Second)
	return secret, codes
}

// letters are the kinds and texts of all letters owed to somebody.
func (b *bureau) letters(to string) (all []string) {
	b.Helper()
	b.must(b.store.Update(b.Context(), func(tx engine.Tx) error {
		all = nil
		mails, err := tx.ClaimMails(tx.Now(), 0, 100)
		for _, m := range mails {
			if m.To != to {
				continue
			}
			clear, err := b.Sealer.Open(m.Sealed)
			if err != nil {
				return err
			}
			all = append(all, string(m.Kind)+" "+string(clear))
		}
		return err
	}))
	return all
}

// TestLogInWithTOTP: the password alone gives a half session that can do nothing; a code completes it, once.
func TestLogInWithTOTP(t *testing.T) { eachBureau(t, testLogInWithTOTP) }

func testLogInWithTOTP(t *testing.T, b *bureau) {
	_, by := b.in(ownerMail)
	app, _ := b.enrol(by)

	half, err := b.LogIn(t.Context(), ownerMail, sesame, engine.Caller{})
	b.must(err)
	if half.Session.Level != payment.SessionHalf || half.Device != "" {
		t.Fatalf("the password alone: %+v", half)
	}
	_, err = b.Visit(t.Context(), half.Token, engine.Caller{})
	b.refused("visit with a half session", err, engine.WordSignIn)
	_, err = b.Prove(t.Context(), half.Token, app.code(b.clock().Add(-90*time.Second)), engine.Caller{})
	b.refused("an old code", err, engine.WordSignIn)

	code := app.code(b.clock())
	full, err := b.Prove(t.Context(), half.Token, code, engine.Caller{})
	b.must(err)
	if full.Token == half.Token || full.Session.ID == half.Session.ID {
		t.Error("the half session's token became the full one's")
	}
	if !b.visit(full.Token).SteppedUp() {
		t.Error("a code at log-in is no step-up")
	}
	_, err = b.Prove(t.Context(), half.Token, app.code(b.clock().Add(30*time.Second)), engine.Caller{})
	b.refused("the half session again", err, engine.WordSignIn)

	half, err = b.LogIn(t.Context(), ownerMail, sesame, engine.Caller{})
	b.must(err)
	_, err = b.Prove(t.Context(), half.Token, code, engine.Caller{})
	b.refused("the code again", err, engine.WordSignIn)
	b.pass(engine.StepUpFor)
	_, err = b.Prove(t.Context(), half.Token, app.code(b.clock()), engine.Caller{})
	b.refused("a half session that waited too long", err, engine.WordSignIn)
}

// TestCodeRace: of many who show one code at once, one gets in.
func TestCodeRace(t *testing.T) { eachBureau(t, testCodeRace) }

func testCodeRace(t *testing.T, b *bureau) {
	_, by := b.in(ownerMail)
	app, codes := b.enrol(by)
	for _, code := range []string{app.code(b.clock()), codes[0]} {
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for range 8 {
			half, err := b.LogIn(t.Context(), ownerMail, sesame, engine.Caller{})
			b.must(err)
			wg.Go(func() {
				if _, err := b.Prove(context.Background(), half.Token, code, engine.Caller{}); err == nil {
					mu.Lock()
					defer mu.Unlock()
					won++
				}
			})
		}
		wg.Wait()
		if won != 1 {
			t.Errorf("%d got in by one code", won)
		}
		b.pass(time.Minute)
	}
}

// TestRecoveryCodes: each logs in once, however it is typed; none steps up; new ones end the old.
func TestRecoveryCodes(t *testing.T) { eachBureau(t, testRecoveryCodes) }

func testRecoveryCodes(t *testing.T, b *bureau) {
	_, by := b.in(ownerMail)
	app, codes := b.enrol(by)
	if len(codes) != engine.RecoveryCodes {
		t.Fatalf("%d codes", len(codes))
	}
	prove := func(code string) (engine.Entrance, error) {
		half, err := b.LogIn(t.Context(), ownerMail, sesame, engine.Caller{})
		b.must(err)
		return b.Prove(t.Context(), half.Token, code, engine.Caller{})
	}
	full, err := prove(" " + strings.ToUpper(strings.ReplaceAll(codes[0], "-", " ")) + " ")
	b.must(err)
	_, err = prove(codes[0])
	b.refused("a recovery code again", err, engine.WordSignIn)
	if n := len(b.user(ownerMail).Recovery); n != engine.RecoveryCodes-1 {
		t.Errorf("%d codes are left", n)
	}
	if !strings.Contains(strings.Join(b.letters(ownerMail), "\n"), `"what":"recovery.used"`) {
		t.Error("nobody was told")
	}
	b.pass(engine.StepUpFor)
	by = b.visit(full.Token)
	b.refused("step up by a recovery code", b.StepUp(t.Context(), by, codes[1]), engine.WordFactor)
	b.must(b.StepUp(t.Context(), by, app.code(b.clock())))
	fresh, err := b.NewRecovery(t.Context(), b.visit(full.Token))
	b.must(err)
	_, err = prove(codes[1])
	b.refused("a code that was replaced", err, engine.WordSignIn)
	_, err = prove(fresh[0])
	b.must(err)
	for _, bad := range []string{"", "-", strings.Repeat("a", 10_000)} {
		_, err = prove(bad)
		b.refused("rubbish", err, engine.WordSignIn)
	}
}

// TestStepUp: it takes a code that was not used, holds for five minutes, and is asked again within the transaction.
func TestStepUp(t *testing.T) { eachBureau(t, testStepUp) }

func testStepUp(t *testing.T, b *bureau) {
	e, by := b.in(ownerMail)
	if by.SteppedUp() {
		t.Error("a password is a step-up")
	}
	b.refused("step up with nothing", b.StepUp(t.Context(), by, sesame), engine.WordFactor)
	app, _ := b.enrol(by)
	b.pass(engine.StepUpFor)
	by = b.visit(e.Token)
	if by.SteppedUp() {
		t.Error("it holds too long")
	}
	b.refused("turn the factor off without", b.DropTOTP(t.Context(), by), engine.WordFactor)
	_, err := b.NewRecovery(t.Context(), by)
	b.refused("new recovery codes without", err, engine.WordFactor)
	setup, err := b.NewTOTP(by)
	b.must(err)
	_, err = b.EnrolTOTP(t.Context(), by, engine.Enrolment{Sealed: setup.Sealed, Code: "000000", Password: sesame})
	b.refused("another app without", err, engine.WordFactor)
	code := app.code(b.clock())
	b.must(b.StepUp(t.Context(), by, code))
	b.refused("the same code again", b.StepUp(t.Context(), by, code), engine.WordFactor)
	stale := by
	by = b.visit(e.Token)
	b.must(b.EndSession(t.Context(), by, by.Session.ID))
	b.refused("act with a session that ended meanwhile", b.DropTOTP(t.Context(), stale), engine.WordSignIn)
}

// TestStrangersSecret: a secret that was sealed for one user enrols nobody else, nor does anything else that is sealed.
func TestStrangersSecret(t *testing.T) { eachBureau(t, testStrangersSecret) }

func testStrangersSecret(t *testing.T, b *bureau) {
	b.member("other@shop.example", payment.Viewer)
	_, by := b.in(ownerMail)
	e, other := b.in("other@shop.example")
	theirs, err := b.NewTOTP(other)
	b.must(err)
	for _, sealed := range [][]byte{theirs.Sealed, nil, []byte("x"), []byte(e.Device)} {
		if _, err := b.EnrolTOTP(t.Context(), by, engine.Enrolment{Sealed: sealed, Code: "000000", Password: sesame}); err == nil {
			t.Errorf("enrolled with %x", sealed)
		}
	}
}

// TestPause: ten wrong passwords make an account rest for a quarter of an hour, for the right password too, and its owner is
// told; but neither a browser that logged in before, nor who is logged in, is kept out.
func TestPause(t *testing.T) { eachBureau(t, testPause) }

func testPause(t *testing.T, b *bureau) {
	e, by := b.in(ownerMail)
	app, _ := b.enrol(by)
	half, err := b.LogIn(t.Context(), ownerMail, sesame, engine.Caller{})
	b.must(err)
	known, err := b.Prove(t.Context(), half.Token, app.code(b.clock()), engine.Caller{})
	b.must(err)
	if known.Device == "" || known.Device == known.Token {
		t.Fatalf("device %q", known.Device)
	}
	for range engine.MaxFailedSignIns {
		_, err := b.LogIn(t.Context(), ownerMail, "wrong", engine.Caller{IP: "198.51.100.7"})
		b.refused("wrong", err, engine.WordSignIn)
	}
	_, err = b.LogIn(t.Context(), ownerMail, sesame, engine.Caller{})
	b.refused("while it rests", err, engine.WordSignIn)
	b.member("other@shop.example", payment.Viewer)
	other, err := b.LogIn(t.Context(), "other@shop.example", sesame, engine.Caller{})
	b.must(err)
	for _, device := range []string{"x", other.Device, known.Token, strings.Repeat("A", engine.MaxDevice+1)} {
		_, err = b.LogIn(t.Context(), ownerMail, sesame, engine.Caller{Device: device})
		b.refused("with what is not the owner's device", err, engine.WordSignIn)
	}
	home, err := b.LogIn(t.Context(), ownerMail, sesame, engine.Caller{Device: known.Device})
	b.must(err)
	b.pass(30 * time.Second)
	home, err = b.Prove(t.Context(), home.Token, app.code(b.clock()), engine.Caller{Device: known.Device})
	b.must(err)
	b.pass(30 * time.Second)
	b.must(b.StepUp(t.Context(), b.visit(e.Token), app.code(b.clock())))
	if all := strings.Join(b.letters(ownerMail), "\n"); !strings.Contains(all, `"what":"paused"`) || !strings.Contains(all, "198.51.100.7") {
		t.Errorf("the owner was not told: %s", all)
	}
	b.must(b.ChangePassword(t.Context(), b.visit(home.Token), sesame, "quite another sentence"))
	_, err = b.LogIn(t.Context(), ownerMail, "quite another sentence", engine.Caller{Device: known.Device})
	b.refused("a device of the old password", err, engine.WordSignIn)
	b.pass(engine.SignInPause)
	_, err = b.LogIn(t.Context(), ownerMail, "quite another sentence", engine.Caller{})
	b.must(err)
}

// TestGuessingWithASession: who took over a session has ten guesses at the second factor, not more.
func TestGuessingWithASession(t *testing.T) { eachBureau(t, testGuessingWithASession) }

func testGuessingWithASession(t *testing.T, b *bureau) {
	e, by := b.in(ownerMail)
	b.enrol(by)
	for range engine.MaxFailedSignIns {
		b.refused("guess", b.StepUp(t.Context(), b.visit(e.Token), "000000"), engine.WordFactor)
	}
	_, err := b.Visit(t.Context(), e.Token, engine.Caller{})
	b.refused("the session after", err, engine.WordSignIn)
}

// TestEnumeration: nothing tells whether an address has an account: not the answer, nor letters, nor the work.
func TestEnumeration(t *testing.T) { eachBureau(t, testEnumeration) }

func testEnumeration(t *testing.T, b *bureau) {
	_, unknown := b.LogIn(t.Context(), "nobody@shop.example", sesame, engine.Caller{})
	_, wrong := b.LogIn(t.Context(), ownerMail, "wrong", engine.Caller{})
	if unknown == nil || wrong == nil || unknown.Error() != wrong.Error() {
		t.Errorf("unknown: %v; wrong: %v", unknown, wrong)
	}
	// A context that is over stops both at the hashing: both come as far.
	gone, cancel := context.WithCancel(t.Context())
	h := engine.NewHasher()
	slow := *b.Office
	slow.Hasher = h
	cancel()
	for _, email := range []string{"nobody@shop.example", ownerMail} {
		if _, err := slow.LogIn(gone, email, sesame, engine.Caller{}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", email, err)
		}
	}
	for _, email := range []string{"nobody@shop.example", ownerMail} {
		b.must(b.AskReset(t.Context(), email))
		b.must(b.AskSignUp(t.Context(), email, payment.English))
	}
	if all := b.letters("nobody@shop.example"); len(all) != 1 || !strings.HasPrefix(all[0], "signup ") {
		t.Errorf("nobody got %q", all)
	}
	var links, both int
	b.query(&links, "SELECT count(*) FROM link")
	b.query(&both, "SELECT count(*) FROM (SELECT email FROM link GROUP BY email HAVING count(*) = 2) both_kinds")
	if links != 4 || both != 2 {
		t.Errorf("%d links, %d addresses with two", links, both)
	}
}

// query reads one number behind the program's back.
func (b *bureau) query(n *int, text string) {
	b.Helper()
	db := b.raw()
	b.must(db.QueryRowContext(b.Context(), text).Scan(n))
}

func (b *bureau) raw() *sql.DB {
	b.Helper()
	driver, source := "pgx", b.url
	if path, ok := strings.CutPrefix(b.url, "sqlite:"); ok {
		driver, source = "sqlite", path
	}
	db, err := sql.Open(driver, source)
	b.must(err)
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	return db
}

// TestHashWork: a password is hashed as long for a hash that cannot be read as for one that can.
func TestHashWork(t *testing.T) {
	h := engine.NewHasher()
	sum, err := h.Hash(t.Context(), sesame)
	if err != nil {
		t.Fatal(err)
	}
	for hash, want := range map[string]bool{sum: true, "": false, "$argon2id$": false, strings.Replace(sum, "t=2", "t=1", 1): false} {
		fastest := time.Hour
		for range 3 {
			began := time.Now()
			ok, err := h.Check(t.Context(), sesame, hash)
			if err != nil || ok != want {
				t.Errorf("%q: %v %v", hash, ok, err)
			}
			fastest = min(fastest, time.Since(began))
		}
		if fastest < time.Millisecond { // argon2id over 19 MiB takes more anywhere
			t.Errorf("%q took %s", hash, fastest)
		}
	}
}

// TestSessionsEnd: idle for half an hour, after twelve hours whatever happens, by the person, with the password; and never
// more of them than are listed.
func TestSessionsEnd(t *testing.T) { eachBureau(t, testSessionsEnd) }

func testSessionsEnd(t *testing.T, b *bureau) {
	over := func(what, token string) {
		t.Helper()
		_, err := b.Visit(t.Context(), token, engine.Caller{})
		b.refused(what, err, engine.WordSignIn)
	}
	e, _ := b.in(ownerMail)
	b.pass(payment.SessionIdle - time.Second)
	b.visit(e.Token)
	b.pass(payment.SessionIdle - time.Second)
	b.visit(e.Token)
	b.pass(payment.SessionIdle)
	over("idle", e.Token)
	e, _ = b.in(ownerMail)
	for range 48 {
		b.visit(e.Token)
		b.pass(payment.SessionMax / 48)
	}
	over("twelve hours", e.Token)

	e, by := b.in(ownerMail)
	two, _ := b.in(ownerMail)
	b.must(b.EndSession(t.Context(), by, two.Session.ID))
	over("ended by its owner", two.Token)
	b.member("other@shop.example", payment.Owner)
	_, other := b.in("other@shop.example")
	if err := b.EndSession(t.Context(), other, by.Session.ID); err == nil {
		t.Error("somebody else's session was ended")
	}
	two, _ = b.in(ownerMail)
	b.must(b.ChangePassword(t.Context(), by, sesame, "quite another sentence"))
	over("the password changed", two.Token)
	b.must(b.LogOut(t.Context(), e.Token))
	over("logged out", e.Token)

	first, err := b.LogIn(t.Context(), "other@shop.example", sesame, engine.Caller{})
	b.must(err)
	b.must(b.store.Update(t.Context(), func(tx engine.Tx) error {
		for range engine.MaxSessions - 1 { // beside those that there are
			s := first.Session
			hash := make([]byte, 32)
			if _, err := rand.Read(hash); err != nil {
				return err
			}
			s.ID, s.Hash = tx.NewID(), hash
			if err := tx.AddSession(s); err != nil {
				return err
			}
		}
		return nil
	}))
	for range 2 {
		b.in("other@shop.example")
	}
	over("crowded out", first.Token)
}

// TestLinks: a one-time link works once, until its time, for what it is for; of many at once one gets through.
func TestLinks(t *testing.T) { eachBureau(t, testLinks) }

func testLinks(t *testing.T, b *bureau) {
	b.must(b.AskReset(t.Context(), ownerMail))
	token := b.token(ownerMail, "reset ")
	_, err := b.Enter(t.Context(), token, engine.Entry{Name: "x", Password: "quite another sentence"}, engine.Caller{})
	b.refused("make an account by a link for a password", err, engine.WordLink)
	before, _ := b.in(ownerMail)
	b.must(b.Reset(t.Context(), token, "quite another sentence", engine.Caller{}))
	_, err = b.Visit(t.Context(), before.Token, engine.Caller{})
	b.refused("a session from before", err, engine.WordSignIn)
	b.refused("again", b.Reset(t.Context(), token, "quite another sentence", engine.Caller{}), engine.WordLink)
	b.must(b.AskReset(t.Context(), ownerMail))
	token = b.token(ownerMail, "reset ")
	b.pass(engine.ResetFor)
	b.refused("too late", b.Reset(t.Context(), token, "quite another sentence", engine.Caller{}), engine.WordLink)

	link, err := b.SetupLink(t.Context(), false)
	b.must(err)
	token = link[strings.LastIndex(link, "/")+1:]
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 4 {
		wg.Go(func() {
			e := engine.Entry{Email: fmt.Sprintf("boss%d@house.example", i), Name: "Boss", Password: "quite another sentence", Language: payment.English}
			if _, err := b.Enter(context.Background(), token, e, engine.Caller{}); err == nil {
				mu.Lock()
				defer mu.Unlock()
				won++
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d operators by one link", won)
	}
}

// token is the one in the newest letter of a kind to somebody.
func (b *bureau) token(to, kind string) (token string) {
	b.Helper()
	for _, l := range b.letters(to) {
		if _, after, ok := strings.Cut(l, "/link/"); ok && strings.HasPrefix(l, kind) {
			token, _, _ = strings.Cut(after, `"`)
		}
	}
	if token == "" {
		b.Fatalf("%s got no %s", to, kind)
	}
	return token
}

// TestResetKeepsFactor: a new password by a letter does not go around the second factor.
func TestResetKeepsFactor(t *testing.T) { eachBureau(t, testResetKeepsFactor) }

func testResetKeepsFactor(t *testing.T, b *bureau) {
	_, by := b.in(ownerMail)
	b.enrol(by)
	b.must(b.AskReset(t.Context(), ownerMail))
	b.must(b.Reset(t.Context(), b.token(ownerMail, "reset "), "quite another sentence", engine.Caller{}))
	e, err := b.LogIn(t.Context(), ownerMail, "quite another sentence", engine.Caller{})
	b.must(err)
	if e.Session.Level != payment.SessionHalf {
		t.Error("the second factor is gone")
	}
}

// TestNobodyRisesAlone: roles are what they are in the transaction, not on the page; owners are the owners' matter; one stays.
func TestNobodyRisesAlone(t *testing.T) { eachBureau(t, testNobodyRisesAlone) }

func testNobodyRisesAlone(t *testing.T, b *bureau) {
	chief := b.member("admin@shop.example", payment.Admin)
	_, admin := b.in("admin@shop.example")
	_, owner := b.in(ownerMail)
	b.refused("an admin makes themselves owner", b.SetRole(t.Context(), admin, chief.ID, payment.Owner), engine.WordRole)
	b.refused("an admin makes an owner viewer", b.SetRole(t.Context(), admin, b.owner.ID, payment.Viewer), engine.WordRole)
	_, err := b.Invite(t.Context(), admin, "friend@x.example", payment.Owner)
	b.refused("an admin invites an owner", err, engine.WordRole)
	b.refused("the last owner goes", b.RemoveMember(t.Context(), owner, b.owner.ID), payment.WordState)
	b.refused("the last owner becomes admin", b.SetRole(t.Context(), owner, b.owner.ID, payment.Admin), payment.WordState)

	link, err := b.Invite(t.Context(), admin, "friend@x.example", payment.Viewer)
	b.must(err)
	b.must(b.SetRole(t.Context(), owner, chief.ID, payment.Viewer))
	if !admin.May(payment.MayStaff) {
		t.Fatal("the page is not an old one")
	}
	_, err = b.Invite(t.Context(), admin, "more@x.example", payment.Viewer)
	b.refused("an admin who is none any more invites", err, engine.WordRole)
	token := link[strings.LastIndex(link, "/")+1:]
	_, err = b.Enter(t.Context(), token, engine.Entry{Name: "Friend", Password: "quite another sentence", Language: payment.English}, engine.Caller{})
	b.refused("an invitation of an admin who is none any more", err, engine.WordLink)

	b.must(b.SetRole(t.Context(), owner, chief.ID, payment.Owner))
	_, second := b.in("admin@shop.example")
	var wg sync.WaitGroup
	errs := make([]error, 2)
	wg.Go(func() { errs[0] = b.RemoveMember(context.Background(), owner, chief.ID) })
	wg.Go(func() { errs[1] = b.RemoveMember(context.Background(), second, b.owner.ID) })
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("two owners remove each other: %v, %v", errs[0], errs[1])
	}
}

// TestTampering: whatever is changed in the audit log, put into it or taken out of its middle is found.
func TestTampering(t *testing.T) { eachOffice(t, testTampering) }

func testTampering(t *testing.T, open func(t *testing.T) *bureau) {
	for what, text := range map[string]string{
		"actor changed":   "UPDATE audit_record SET actor = 'nobody@x.example' WHERE seq = 2",
		"data changed":    "UPDATE audit_record SET data = '{}' WHERE seq = 3",
		"time changed":    "UPDATE audit_record SET at = at + 1000 WHERE seq = 2",
		"scope changed":   "UPDATE audit_record SET scope = '' WHERE seq = 5 AND scope <> ''",
		"one taken out":   "DELETE FROM audit_record WHERE seq = 2",
		"first taken out": "DELETE FROM audit_record WHERE seq = 1",
		"renumbered":      "UPDATE audit_record SET seq = seq + 100 WHERE seq > 2",
		"hash changed":    "UPDATE audit_record SET hash = (SELECT o.hash FROM audit_record o WHERE o.seq = 4) WHERE seq = 5",
	} {
		t.Run(what, func(t *testing.T) {
			b := open(t)
			_, by := b.in(ownerMail)
			for i := range 6 {
				_, err := b.Invite(t.Context(), by, fmt.Sprintf("%d@x.example", i), payment.Viewer)
				b.must(err)
			}
			n, err := b.CheckAuditLogs(t.Context())
			if err != nil || n < 7 {
				t.Fatalf("%d records before: %v", n, err)
			}
			if _, err := b.raw().ExecContext(t.Context(), text); err != nil {
				t.Fatal(err)
			}
			if _, err := b.CheckAuditLogs(t.Context()); err == nil {
				t.Error("not found")
			}
		})
	}
}

// TestAuditHoldsNoSecrets: neither passwords, codes, secrets, tokens nor links stand in the audit log.
func TestAuditHoldsNoSecrets(t *testing.T) { eachBureau(t, testAuditHoldsNoSecrets) }

func testAuditHoldsNoSecrets(t *testing.T, b *bureau) {
	e, by := b.in(ownerMail)
	app, codes := b.enrol(by)
	link, err := b.Invite(t.Context(), by, "friend@x.example", payment.Viewer)
	b.must(err)
	secrets := append(codes, e.Token, e.Device, sesame, link[strings.LastIndex(link, "/")+1:],
		base32.StdEncoding.EncodeToString(app))
	for _, scope := range []payment.ID{"", b.shop.ID} {
		all, err := b.AuditLog(t.Context(), scope, "", 0)
		b.must(err)
		for _, r := range all {
			for _, s := range secrets {
				if strings.Contains(r.Data+r.Subject, s) || bytes.Contains([]byte(r.Data), app) {
					t.Errorf("%s tells %q", r.Action, s)
				}
			}
		}
	}
}
