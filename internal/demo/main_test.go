package demo_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var binDir string

func bin(name string) string { return filepath.Join(binDir, name) }

// TestMain builds the two programs that the stories drive.
func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pipe-stories-*")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binDir = dir
	out, err := exec.Command("go", "build", "-o", dir+string(os.PathSeparator), "../../cmd/pipe-demo", "../../cmd/pipe").CombinedOutput()
	if err != nil {
		fmt.Fprintf(os.Stderr, "build the programs: %v\n%s", err, out)
		return 1
	}
	flag.Parse()
	if err := flag.Set("test.parallel", "10"); err != nil { // stages mostly wait
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
