#!/usr/bin/env bash
# The first half hour on a GPU: benchmarks/gpu.sh DATA [--out DIR] [--rehearse]; docs/GPU.md says what is needed.
# PYTHON is the interpreter that has torch (default: python3). DATA is made beforehand, on any CPU, by
# `python -m gcl_core gpu-data DATA`.
set -eu
home=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
export PYTHONPATH="$home${PYTHONPATH:+:$PYTHONPATH}"
exec "${PYTHON:-python3}" -m gcl_core gpu-check "$@"
