# shellcheck shell=bash
# What the other scripts share: messages, packages from apt and npm, and Postgres.

readonly CLUSTER_CONF=/etc/postgresql-common/createcluster.conf

say() { printf '%s\n' "$*"; }

fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Runs a command as root: directly, or with sudo, which may ask for a password only at a terminal.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif [ -t 0 ]; then
    sudo "$@"
  else
    sudo -n "$@"
  fi
}

can_apt() { have apt-get && { [ "$(id -u)" -eq 0 ] || have sudo; }; }

# apt_install PACKAGE...: installs without a question and without output, unless it fails.
apt_install() {
  local log
  log=$(mktemp)
  say "Installing with apt: $*"
  # A configuration file that is there already is kept: asking about it would be a question.
  if as_root apt-get -qq update >"$log" 2>&1 &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends \
      -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@" >>"$log" 2>&1 </dev/null; then
    rm -f "$log"
  else
    cat "$log" >&2
    rm -f "$log"
    fail "apt could not install: $*"
  fi
}

has_postgres() {
  local bin
  for bin in "${PG_BIN:-}" /usr/lib/postgresql/*/bin; do
    [ ! -x "$bin/postgres" ] || return 0
  done
  have postgres
}

# Tests and benchmarks start a Postgres of their own: the package need not create and start one.
forbid_main_cluster() {
  [ ! -e "$CLUSTER_CONF" ] || return 0
  as_root mkdir -p "${CLUSTER_CONF%/*}"
  echo 'create_main_cluster = false' | as_root tee "$CLUSTER_CONF" >/dev/null
}

# npm_here: the npm packages of the lock are installed, up to date, and so is each one named.
npm_here() {
  local package
  [ -e node_modules/.package-lock.json ] || return 1
  [ ! package-lock.json -nt node_modules/.package-lock.json ] || return 1
  for package in "$@"; do
    [ -e "node_modules/$package/package.json" ] || return 1
  done
}

need_npm() {
  have npm && return
  if can_apt; then
    apt_install npm
  elif have brew; then
    fail "npm is missing. Type: brew install node"
  elif have dnf; then
    fail "npm is missing. Type: sudo dnf install npm"
  elif have pacman; then
    fail "npm is missing. Type: sudo pacman -S npm"
  elif have apk; then
    fail "npm is missing. Type: apk add npm"
  elif have apt-get; then
    fail "npm is missing. Type as root: apt-get install npm"
  else
    fail "npm is missing. Install Node.js 18 or newer: https://nodejs.org"
  fi
}

# npm_install [OPTION...]: exactly what the lock says.
npm_install() {
  need_npm
  say "Installing node packages"
  npm ci --no-audit --no-fund --loglevel=error "$@"
}
