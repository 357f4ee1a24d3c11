package demo

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/pipe-pg/pipe/internal/engine"
)

// A crash ends the process as a power cut would, at the next payout that comes to a step. It is armed until it is hit, also
// over restarts, and so can end the recovery after an earlier one.
type crash struct {
	file string // holds the armed step; absent: none

	mu    sync.Mutex // owns armed
	armed engine.PayStep
}

// openCrash reads what was armed before the process ended.
func openCrash(file string) (*crash, error) {
	c := &crash{file: file}
	b, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read armed crash: %w", err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return nil, fmt.Errorf("read armed crash %s: %w", file, err)
	}
	c.armed = engine.PayStep(n)
	return c, nil
}

// arm has the process end at the next step of that kind; 0 takes it back.
func (c *crash) arm(s engine.PayStep) error {
	if s != 0 && !slices.Contains(engine.PaySteps, s) {
		return fmt.Errorf("step must be one of those of GET /steps, or 0 for none")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.save(s); err != nil {
		return err
	}
	c.armed = s
	return nil
}

// save keeps a step in the file. The caller holds mu.
func (c *crash) save(s engine.PayStep) error {
	if s != 0 {
		return writeFile(c.file, []byte(strconv.Itoa(int(s))))
	}
	if err := os.Remove(c.file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// at is called as each step of a payout begins.
func (c *crash) at(s engine.PayStep) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.armed == 0 || c.armed != s {
		return
	}
	if err := c.save(0); err != nil {
		return // it stays armed, and is hit again
	}
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(err) // ends the process as well
	}
	select {} // nothing more happens before the end
}
