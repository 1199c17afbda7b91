#!/usr/bin/env bash
# Say what this machine lacks, in words that tell what to do: `tools/needs.sh python PATH` or `tools/needs.sh node`.
set -euo pipefail

die() {
    printf '\n%s\n' "$@" >&2
    exit 1
}

need_python() {
    local python=${1:-}
    [[ -n $python ]] || die "Python 3.11 is not installed." "Debian 12: apt-get install python3.11 python3.11-venv"
    local version
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    [[ $version == 3.11 ]] || die "Python 3.11 is needed; $python is $version." \
        "Debian 12: apt-get install python3.11 python3.11-venv. Elsewhere: make PYTHON=/path/to/python3.11 …"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || die "$python cannot make virtual environments." \
        "Debian 12: apt-get install python3.11-venv"
}

need_node() {
    command -v node >/dev/null && command -v npm >/dev/null || die "Node.js with npm is not installed." \
        "The screens are built with Node.js 20.19 or newer and npm 11: https://nodejs.org/en/download"
    node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
        die "Node.js 20.19 or newer is needed; this is $(node --version)."
    local npm_version
    npm_version=$(npm --version)
    [[ ${npm_version%%.*} -ge 11 ]] || printf '%s\n' \
        "note: npm $npm_version is older than 11; if the next step fails, run: npm install --global npm@11" >&2
}

case ${1:-} in
    python) need_python "${2:-}" ;;
    node) need_node ;;
    *) die "usage: tools/needs.sh python PATH | node" ;;
esac
