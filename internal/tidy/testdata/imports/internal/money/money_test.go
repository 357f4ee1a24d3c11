package money

import _ "github.com/pipe-pg/pipe/internal/store"
