package demo_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pipe-pg/pipe/internal/pgtest"
)

// A crash at every step of every payout: kill -9 as the step begins, and a start on what is left. Each payout is paid exactly once.

type payStep struct {
	Step int    `json:"step"`
	Name string `json:"name"`
}

// crashes are the scenes that bring a payout to steps which an ordinary refund and settlement do not come to, by the name of the
// step. Any other step, also one that is new, must be come to by the ordinary ones, or its crash never happens and the test fails.
func crashes() map[string]string {
	const stuck = `
pay A 100% ; mine COIN 12 ; expect A 2/1
refund A ; owes A asked sent as T
fee COIN 50
crash STEP
hit
fee COIN 1
finish A asked ; refunded A 2 3`
	const dear = `
fee COIN 700
pay A 100% ; mine COIN 12 ; expect A 2/1
crash STEP
refund A
hit
fee COIN 1 ; mine ETH 25
finish A asked ; refunded A 2 3`
	return map[string]string{"resend": `
pay A 100% ; mine COIN 12 ; expect A 2/1
refund A ; owes A asked sent
crash STEP
hit
finish A asked ; refunded A 2 3`, "bump": stuck, "bumped": stuck, "void": dear, "voided": dear}
}

// What a crash goes through, unless its step has a scene of its own: in a refund, and in a settlement. The settlement that the
// refund replaces rests before, so that the crash is the refund's.
const ordinary = `
pay A 100% ; mine COIN 12 ; expect A 2/1
owes A settlement waiting/time
crash STEP
refund A
hit
finish A asked ; refunded A 2 3`

const settling = `
app --settle-hold 0s
crash STEP
pay A 100% ; mine COIN 12
hit
expect A 2/1
finish A settlement`

// apart are the steps that no scene here brings a payout to, and who strikes at them instead.
func apart() map[string]string {
	const batch = "only a Bitcoin batch that lost coins for ever comes to it: TestNarrowSteps of the engine strikes there, on both databases"
	return map[string]string{"narrow": batch, "narrowed": batch}
}

// crashAll plays every step of a payout with a crash, each coin on a stage of its own: whole in refunds and in settlements, else in
// one of them.
func crashAll(t *testing.T, whole bool, args func(t *testing.T) []string) {
	for _, coin := range []string{"BTC", "ETH"} {
		t.Run(coin, func(t *testing.T) {
			t.Parallel()
			s := raiseWith(t, crashArgs(), args(t)...)
			var all []payStep
			if err := s.look("/steps", nil, &all); err != nil || len(all) == 0 {
				t.Fatalf("list steps: %v", err)
			}
			for _, step := range all {
				if why, ok := apart()[step.Name]; ok {
					t.Logf("step %s: %s", step.Name, why)
					continue
				}
				scenes := scenesOf(step.Name)
				if !whole {
					scenes = scenes[:1]
				}
				for _, scene := range scenes {
					name := step.Name + "-" + scene.name
					text := fmt.Sprintf("app --settle-hold 1h\ninvoice A 1000000 KRW refund=%s ; choose A %s\n%s", coin, coin, scene.text)
					text = strings.NewReplacer("COIN", coin, "STEP", fmt.Sprint(step.Step)).Replace(text)
					t.Run(name, func(t *testing.T) { play(open(t, s, name, false), stepsOf(text)) })
				}
			}
			t.Run("audit", func(t *testing.T) { play(open(t, s, "audit", false), stepsOf("audit")) })
		})
	}
}

type scene struct{ name, text string }

func scenesOf(step string) []scene {
	if text, ok := crashes()[step]; ok {
		return []scene{{"refund", text}}
	}
	if step == "register" { // only settlements and withdrawals register where they go
		return []scene{{"settlement", settling}}
	}
	return []scene{{"refund", ordinary}, {"settlement", settling}}
}

// crash STEP: the process ends at the next payout that comes to this step
func (s *story) crash(args []string) error {
	var step int
	if _, err := fmt.Sscan(args[0], &step); err != nil {
		return err
	}
	s.armed = true
	_, err := s.control("/crash", map[string]any{"step": step})
	return err
}

// unlessHit is the error of a call, unless the process ended under it by an armed crash, which the step "hit" looks at.
func (s *story) unlessHit(err error) error {
	if err == nil || !s.armed {
		return err
	}
	select {
	case <-s.died:
		return nil
	case <-time.After(time.Second):
		return err
	}
}

// hit: the process has ended by the crash that was armed; it is started again
func (s *story) hit([]string) error {
	select {
	case <-s.died:
	case <-time.After(patience):
		return fmt.Errorf("no payout came to the step")
	}
	if state := s.cmd.ProcessState.String(); state != "signal: killed" {
		return fmt.Errorf("the process ended by itself: %s\n%s", state, s.stage.out.String())
	}
	s.armed = false
	s.start()
	if err := s.afterStart(); err != nil || s.unanswered == nil {
		return err
	}
	i := s.unanswered
	s.unanswered = nil
	// As a shop does that got no answer: the request may have been taken or not.
	code, data, err := s.askRefund(i)
	if err == nil && code != "1" && code != "4090" {
		err = fmt.Errorf("the refund asked again answers %s: %v", code, data)
	}
	return err
}

// crashArgs let stuck payouts be replaced soon, and give the signer a fee to refuse that the payer would take.
func crashArgs() []string {
	return []string{"PIPE_BITCOIN_BUMP_AFTER=3s", "PIPE_ETHEREUM_BUMP_AFTER=3s", "PIPE_BITCOIN_FEE_CEILING=100000", "PIPE_ETHEREUM_FEE_CEILING=100000"}
}

func TestCrashes(t *testing.T) {
	t.Parallel()
	crashAll(t, true, func(*testing.T) []string { return nil })
}

func TestCrashesOnPostgres(t *testing.T) {
	t.Parallel()
	crashAll(t, false, func(t *testing.T) []string { return []string{"--database", pgtest.URL(t)} })
}
