#!/usr/bin/env bash
# Prints the packages whose tests link no geth node. With the race detector, or after a change deep down, a node takes
# minutes to compile.
set -euo pipefail
cd "$(dirname "$0")/.."

go list -f '{{.ImportPath}}: {{join .Deps " "}} {{join .TestImports " "}} {{join .XTestImports " "}}' ./... |
	grep -vE '/internal/(devchain/ethereum|demo)( |:|$)' | cut -d: -f1
