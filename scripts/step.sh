#!/usr/bin/env bash
# usage: scripts/step.sh PYTHON NOTEBOOK EXECUTED MARK THREADS GPUS [the notebook's parameters ...]
# One step of the study, as the Snakefile's rules call it: runs a notebook in the interpreter PYTHON, shows what it prints
# behind the step's name, then marks the step as done. What papermill itself says goes beside EXECUTED, into a .log, whose
# last line is the status that the notebook ended with; the line is lacking when this script was ended before it.
#
# On a machine with several GPUs, GCL_GPUS names them: a step takes as many free ones as it asks for, by locks that go
# with it, all or none: Snakemake starts no more steps than there are GPUs for, but another run's steps may have some, or
# half of what they need.
set -euo pipefail
python=$1 notebook=$2 executed=$3 mark=$4 threads=$5 gpus=$6
shift 6
name=$(basename "$executed" .ipynb)
log=${executed%.ipynb}.log

tell() { while IFS= read -r line; do printf '%s | %s\n' "$name" "$line"; done; }

take() {
    taken='' locks=() lacking=$gpus
    for gpu in $GCL_GPUS; do
        exec {lock}>"runs/.gpu-$gpu"
        if [ "$lacking" != 0 ] && flock -n "$lock"; then
            taken=$taken,$gpu locks+=("$lock") lacking=$((lacking - 1))
        else
            exec {lock}>&-
        fi
    done
    [ "$lacking" = 0 ] || { for lock in "${locks[@]}"; do exec {lock}>&-; done; false; }
}

if [ "$gpus" != 0 ] && [ -n "${GCL_GPUS-}" ]; then
    told=''
    until take; do
        [ -n "$told" ] || echo "waits for $gpus of the GPUs $GCL_GPUS: other runs have them" | tell
        told=yes
        sleep $((RANDOM % 5 + 1)).$RANDOM # two that took half each do not meet again
    done
    export CUDA_VISIBLE_DEVICES=${taken#,}
fi
export OMP_NUM_THREADS=$threads MKL_NUM_THREADS=$threads
echo started | tell
rm -f "$executed" # what is there afterwards is of this attempt
set +e
"$python" -m gcl_core.workflow.notebook "$notebook" "$executed" "$@" 2>"$log" | tell
status=${PIPESTATUS[0]}
set -e
echo "ended with status $status" >>"$log"
[ "$status" = 0 ] || exit "$status"
printf 'done in %d min %02d s\n' $((SECONDS / 60)) $((SECONDS % 60)) | tell
echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $SECONDS s" >"$mark"
