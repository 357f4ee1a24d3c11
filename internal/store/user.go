package store

import (
	"github.com/pipe-pg/pipe/internal/payment"
	"github.com/pipe-pg/pipe/internal/store/row"
)

// AddUser stores a user.
func (t *tx) AddUser(u payment.User) error {
	return t.fail("add user", t.q.AddUser(t.ctx, row.AddUserParams{
		ID: string(u.ID), Email: u.Email, Name: u.Name, Language: string(u.Language), Operator: u.Operator, Password: u.Password,
		Totp: bytes(u.TOTP), TotpStep: u.TOTPStep, Recovery: join(u.Recovery), Failures: int64(u.Failures),
		PausedTill: millis(u.PausedTill), VerifiedAt: millis(u.VerifiedAt), DisabledAt: millis(u.DisabledAt),
		CreatedAt: millis(u.CreatedAt), UpdatedAt: millis(u.UpdatedAt),
	}))
}

// User finds a user.
func (t *tx) User(id payment.ID) (payment.User, error) {
	r, err := t.q.User(t.ctx, string(id))
	return user(r), t.fail("find user", err)
}

// UserByEmail finds a user by the address in its one form.
func (t *tx) UserByEmail(email string) (payment.User, error) {
	r, err := t.q.UserByEmail(t.ctx, email)
	return user(r), t.fail("find user by e-mail address", err)
}

// Users are those after an id in id order.
func (t *tx) Users(after payment.ID, limit int) ([]payment.User, error) {
	rows, err := t.q.Users(t.ctx, row.UsersParams{ID: string(after), Most: atMost(limit)})
	return plainly(rows, user), t.fail("list users", err)
}

// SwapUser saves a user if nobody changed it.
func (t *tx) SwapUser(u payment.User) error {
	n, err := t.q.SwapUser(t.ctx, row.SwapUserParams{
		ID: string(u.ID), Email: u.Email, Name: u.Name, Language: string(u.Language), Operator: u.Operator, Password: u.Password,
		Totp: bytes(u.TOTP), TotpStep: u.TOTPStep, Recovery: join(u.Recovery), Failures: int64(u.Failures),
		PausedTill: millis(u.PausedTill), VerifiedAt: millis(u.VerifiedAt), DisabledAt: millis(u.DisabledAt),
		UpdatedAt: millis(u.UpdatedAt), Rev: u.Rev,
	})
	return t.swapped("save user", n, err)
}

func user(r row.Person) payment.User {
	return payment.User{
		ID: payment.ID(r.ID), Email: r.Email, Name: r.Name, Language: payment.Language(r.Language), Operator: r.Operator,
		Password: r.Password, TOTP: r.Totp, TOTPStep: r.TotpStep, Recovery: cut(r.Recovery), Failures: int(r.Failures),
		PausedTill: at(r.PausedTill), VerifiedAt: at(r.VerifiedAt), DisabledAt: at(r.DisabledAt), CreatedAt: at(r.CreatedAt),
		UpdatedAt: at(r.UpdatedAt), Rev: r.Rev,
	}
}

// AddCredential stores a passkey.
func (t *tx) AddCredential(c payment.Credential) error {
	return t.fail("add credential", t.q.AddCredential(t.ctx, row.AddCredentialParams{
		ID: string(c.ID), UserID: string(c.UserID), Key: bytes(c.Key), Data: bytes(c.Data), Name: c.Name,
		CreatedAt: millis(c.CreatedAt), UsedAt: millis(c.UsedAt),
	}))
}

// CredentialByKey finds a passkey by what its authenticator calls it.
func (t *tx) CredentialByKey(key []byte) (payment.Credential, error) {
	r, err := t.q.CredentialByKey(t.ctx, key)
	return credential(r), t.fail("find credential", err)
}

// Credentials are a user's, the oldest first.
func (t *tx) Credentials(user payment.ID, limit int) ([]payment.Credential, error) {
	rows, err := t.q.Credentials(t.ctx, row.CredentialsParams{UserID: string(user), Most: atMost(limit)})
	return plainly(rows, credential), t.fail("list credentials", err)
}

// SwapCredential saves a passkey's counter, name and last use.
func (t *tx) SwapCredential(c payment.Credential) error {
	n, err := t.q.SwapCredential(t.ctx, row.SwapCredentialParams{
		Data: bytes(c.Data), Name: c.Name, UsedAt: millis(c.UsedAt), ID: string(c.ID), Rev: c.Rev,
	})
	return t.swapped("save credential", n, err)
}

// RemoveCredential forgets a passkey.
func (t *tx) RemoveCredential(c payment.Credential) error {
	n, err := t.q.RemoveCredential(t.ctx, row.RemoveCredentialParams{ID: string(c.ID), Rev: c.Rev})
	return t.swapped("remove credential", n, err)
}

func credential(r row.Credential) payment.Credential {
	return payment.Credential{
		ID: payment.ID(r.ID), UserID: payment.ID(r.UserID), Key: r.Key, Data: r.Data, Name: r.Name, CreatedAt: at(r.CreatedAt),
		UsedAt: at(r.UsedAt), Rev: r.Rev,
	}
}

// hashSize is the length of the hashes that a column holds one behind the other, in bytes.
const hashSize = 32

// join puts hashes behind each other, cut takes them apart.
func join(hashes [][]byte) []byte {
	all := []byte{}
	for _, h := range hashes {
		all = append(all, h...)
	}
	return all
}

func cut(all []byte) [][]byte {
	var hashes [][]byte
	for ; len(all) >= hashSize; all = all[hashSize:] {
		hashes = append(hashes, all[:hashSize])
	}
	return hashes
}

// plainly turns rows into words that can all be read.
func plainly[R, V any](rows []R, of func(R) V) []V {
	all := make([]V, len(rows))
	for i, r := range rows {
		all[i] = of(r)
	}
	return all
}
