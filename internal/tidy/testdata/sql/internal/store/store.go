package store

import _ "database/sql"

const query = "SELECT id FROM invoice"
