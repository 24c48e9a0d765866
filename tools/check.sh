#!/usr/bin/env bash
# Checks everything in one command: format, lint, types, tests.
#
#   tools/check.sh [arguments for pytest, such as -k data]
#
# It uses the active virtual environment, or else makes .venv in this checkout, and can be run again.
set -eu -o pipefail

source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
cd "$ROOT"

failed=""
check() {
  local name="$1"
  shift
  say "Checking $name: $*"
  "$PYTHON" -m "$@" || failed="$failed $name"
}

check format ruff format --check .
check lint ruff check .
check types mypy
check tests pytest -n auto --dist worksteal "$@"

[ -z "$failed" ] || stop "failed:$failed (look above; 'ruff format .' and 'ruff check --fix .' mend most of format and lint)"
say "All passed: format, lint, types and tests"
