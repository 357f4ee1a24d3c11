package main

import _ "rsc.io/qr"

import _ "github.com/jackc/pgx/v5/stdlib"
