package demo

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/pipe-pg/pipe/internal/engine"
	"github.com/pipe-pg/pipe/internal/payment"
)

// AdminEmail logs into the demo's admin: owner of the demo shop and operator of the house.
const AdminEmail = "demo@shop.example"

// adminURL names the host: passkeys are tied to a name, and an address is none.
func (d *Demo) adminURL() string {
	_, port, err := net.SplitHostPort(d.adminListener.Addr().String())
	if err != nil {
		return origin(d.adminListener)
	}
	return "http://localhost:" + port
}

// addAdmin makes the demo's log-in where this database has none. Its password is made up at the first start and stays.
func (d *Demo) addAdmin(ctx context.Context) error {
	if d.state.AdminPassword == "" {
		d.state.AdminPassword = random()
		if err := d.save(); err != nil {
			return err
		}
	}
	err := d.app.Store().View(ctx, func(tx engine.Tx) error {
		_, err := tx.UserByEmail(AdminEmail)
		return err
	})
	if err == nil || !errors.Is(err, payment.ErrAbsent) {
		return err
	}
	_, err = d.app.Office.AddUser(ctx, engine.NewUser{
		Email: AdminEmail, Name: "Demo", Password: d.state.AdminPassword, Operator: true, Merchant: payment.ID(d.state.MerchantID),
	})
	if err != nil {
		return fmt.Errorf("make the demo's log-in: %w", err)
	}
	return nil
}
