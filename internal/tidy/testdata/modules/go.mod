module example

go 1.26

require (
	rsc.io/qr v0.2.0
	rsc.io/quiet v0.2.0 // want
	github.com/jackc/pgx/v5 v5.12.0 // want
	github.com/inner/thing v1.0.0 // indirect
)
