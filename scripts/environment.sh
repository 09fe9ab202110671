# Sourced by run_all.sh and run_tests.sh in the repository's folder: finds or sets up an environment that has the
# requirements and leaves its interpreter in $python. Costs a moment when there is nothing to do; a killed set-up goes on.
# shellcheck shell=bash

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

supported() {
    "$1" -c 'import sys; raise SystemExit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

make_folder() { # .venv, by uv when present
    if .venv/bin/python -c '' 2>/dev/null; then
        supported .venv/bin/python || fail ".venv holds $(.venv/bin/python --version); Python 3.11 to 3.13 is needed." \
            "Remove the folder .venv and try again."
        return
    fi
    if command -v uv >/dev/null; then
        uv venv --quiet --clear --python '>=3.11,<3.14' .venv || fail "uv could not make .venv; see above."
        return
    fi
    for base in python3 python3.13 python3.12 python3.11 python ''; do
        supported "$base" && break
    done
    [ -n "$base" ] || fail "No Python 3.11, 3.12 or 3.13 was found." \
        "Install one (or install uv, which brings its own), then try again."
    "$base" -m venv --clear .venv || fail "$base could not make .venv; see above." \
        "On Debian and Ubuntu install the package python3-venv, then try again."
}

install() {
    if command -v uv >/dev/null; then
        uv pip install --compile-bytecode --python .venv/bin/python -r requirements.txt # compiled: imports take a third
    else
        .venv/bin/python -m ensurepip >/dev/null 2>&1 # uv makes the folder without pip
        .venv/bin/python -m pip install --disable-pip-version-check -r requirements.txt
    fi
}

link_checkout() { # a path file, so that notebooks find gcl_core from any folder
    .venv/bin/python -c 'import pathlib, sysconfig
pathlib.Path(sysconfig.get_path("purelib"), "gcl_core.pth").write_text(f"{pathlib.Path.cwd()}\n")'
}

set_up() { # one at a time: the link's target is the process at work
    mkdir -p runs || fail "Cannot write in $PWD; check its permissions."
    if ! ln -s $$ runs/.set-up 2>/dev/null; then
        other=$(readlink runs/.set-up) || fail "Cannot write in $PWD/runs; free space there or check its permissions."
        # a container gives each call the same number: then it is what a kill left
        [ "$other" != $$ ] && kill -0 "$other" 2>/dev/null && fail "Another set-up of .venv is at work; wait for it."
        ln -sfn $$ runs/.set-up
    fi
    trap 'rm -f runs/.set-up' EXIT
    echo "Setting up .venv from requirements.txt: several minutes, once."
    make_folder
    install || fail "The requirements could not be installed; see above. The same command goes on from here."
    link_checkout || fail "Cannot write in .venv; check its permissions."
    cp requirements.txt .venv/requirements.part
    mv .venv/requirements.part .venv/requirements.installed # the mark that nothing is missing
    rm -f runs/.set-up
    trap - EXIT
}

case "$PWD" in
*:*) fail "The path $PWD holds a colon, at which Python parts its search path." "Move the checkout to a folder without one." ;;
esac

active="${VIRTUAL_ENV:-${CONDA_PREFIX:-}}"
# shellcheck disable=SC2034 # python is for the script that sources this
if [ -n "$active" ] && [ ! "$active" -ef .venv ] && "$active/bin/python" scripts/has_requirements.py; then
    python="$active/bin/python"
else
    { [ -x .venv/bin/python ] && cmp -s requirements.txt .venv/requirements.installed; } || set_up
    python="$PWD/.venv/bin/python"
fi
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
