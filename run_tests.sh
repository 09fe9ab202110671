#!/usr/bin/env bash
# Sets up what is missing, then checks format, lint and types and runs the tests; arguments go to pytest.
set -eu
cd "$(dirname "${BASH_SOURCE[0]}")"
. scripts/environment.sh
PATH="$(dirname "$python"):$PATH"
ruff check .
ruff format --check .
basedpyright --pythonpath "$python"
exec "$python" -m pytest "$@"
