package money

import (
	"context" // want
	"fmt"
	"log/slog" // want
	"math/big"
	"os" // want
	"time"
)

type amount struct{ n float64 } // want

func (a amount) text(now time.Time) string {
	fmt.Println(a)                                                                                 // want
	half := 0.5                                                                                    // want
	_, exact := new(big.Rat).Float64()                                                             // want
	go slog.Info("paid")                                                                           // want
	return fmt.Sprint(time.Since(now), half, exact, os.Args, context.Background(), new(big.Float)) // want
}
