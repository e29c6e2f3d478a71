#!/bin/sh
# Fill a virtual environment with the pinned packages and this project, from the repository's root:
#   sh requirements/install.sh PYTHON VENV
# `make setup` calls it when VENV/.installed is older than the lock. pip cannot be trusted to finish
# a package it was interrupted in (it takes the half for installed), so an environment is marked
# while it is worked on, and one that still has the mark is made anew.
set -eu
python=$1
venv=$2
mark=$venv/.unfinished

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}
install() { # errors only: pip's warnings are about indices and versions that the lock has settled
    "$venv/bin/python" -m pip install -qq --no-input --disable-pip-version-check "$@"
}

if [ -e "$mark" ]; then
    owner=$(cat "$mark")
    if [ -n "$owner" ] && kill -0 "$owner" 2>/dev/null; then
        fail "process $owner is installing into $venv already: wait for it, or stop it"
    fi
    echo "removing $venv, which an interrupted setup left unfinished"
    rm -rf "$venv"
fi
if [ ! -e "$venv" ] || [ -z "$(ls -A "$venv")" ]; then
    echo "creating $venv with Python 3.11"
    mkdir -p "$venv"
    echo $$ >"$mark"
    "$python" -m venv "$venv"
elif "$venv/bin/python" -c 'import sys, pip; sys.exit(sys.version_info[:2] != (3, 11))' \
    2>/dev/null; then
    echo $$ >"$mark"
else
    fail "$venv is no environment of Python 3.11 with pip: remove it, or name another by make VENV=..."
fi

rm -f "$venv/.installed"
echo "installing $(grep -c == requirements/lock.txt) pinned packages (minutes, the first time)"
install --no-warn-conflicts -r requirements/lock.txt
echo "installing $(grep -c == requirements/no-deps.txt) packages without their contradictory pins"
install --no-deps -r requirements/no-deps.txt
echo "installing osrl-bench itself, editable"
install --no-deps --no-build-isolation -e .
touch "$venv/.installed"
rm "$mark"
echo "$venv is ready"
