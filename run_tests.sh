#!/usr/bin/env bash
# Sets up what is missing, then checks format, lint and imports and runs the tests, types among them; arguments go to
# pytest.
set -eu

case " $* " in
*" --help "* | *" -h "*)
    echo "usage: ./run_tests.sh [pytest arguments]: sets up .venv where needed, then checks format, lint and" \
        "imports and runs the tests, types among them"
    exit 0
    ;;
esac

cd "$(dirname "${BASH_SOURCE[0]}")"
. scripts/environment.sh
PATH="$(dirname "$python"):$PATH"
ruff check .
ruff format --check .
lint-imports --no-logo
export OMP_NUM_THREADS=1 # the two processes that share the tests would wait for each other's threads
exec "$python" -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@"
