#!/usr/bin/env bash
# Regenerates the study: sets up what is missing, then runs every step that is missing or out of date.
set -eu

case " $* " in
*" --help "* | *" -h "*)
    cat <<'HELP'
usage: ./run_all.sh [PROFILE] [key=value ...] [--from-weights] [--seeds N] [--jobs N] [--cluster DIR] [--dry-run]
                    [--help]

Regenerates every table and figure of a profile in figures/<profile>/ and says which numbers agree with the
committed ones in figures/reference/<profile>/. Sets up .venv first where needed; an active conda or venv
environment that has the requirements is used as it is. Stop it at any time: the same command goes on where
it was. A second run with nothing changed does nothing.

  PROFILE        a name in configs/ (smoke, mini, evidence2, evidence2_worn, evidence3, people_750, evidence,
                 evidence_background, evidence_light, evidence_settings, tuning_optimizer, tuning_views,
                 synthetic_large, market1501, dukemtmc_reid, msmt17, folder, real_small) or a YAML file; default mini
  key=value      a setting, as in joint.epochs=3 or data_root=/path/to/Market-1501-v15.09.15
  --from-weights take the trained networks of weights/PROFILE and train nothing (docs/WEIGHTS.md)
  --seeds N      repeat the study with N seeds
  --jobs N       use at most N CPU cores (default: all)
  --cluster DIR  run the steps on a cluster, by the Snakemake profile in DIR (docs/CLUSTER.md)
  --dry-run      only say what would run, and from a few measured steps how long and in how much memory

`python -m gcl_core --help` tells what else there is.
HELP
    exit 0
    ;;
esac

cwd=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
. scripts/environment.sh
cd "$cwd"
exec "$python" -m gcl_core run "$@"
