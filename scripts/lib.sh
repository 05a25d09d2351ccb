# shellcheck shell=bash
# Functions of the other scripts: messages, root, and packages from apt and npm.

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

# apt_install PACKAGE...: installs without a question, and without output unless it fails.
apt_install() {
  local log
  log=$(mktemp)
  # Existing configuration files are kept without a question.
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

# npm_here PACKAGE...: returns true when the lock's packages are installed and up to date, and each named one is there.
npm_here() {
  local package
  [ -e node_modules/.package-lock.json ] || return 1
  [ ! package-lock.json -nt node_modules/.package-lock.json ] || return 1
  for package in "$@"; do
    [ -e "node_modules/$package/package.json" ] || return 1
  done
}

# npm_install [OPTION...]: installs exactly the lock's packages.
npm_install() {
  say "Installing node packages"
  npm ci --no-audit --no-fund --loglevel=error "$@"
}

# npm_add: installs the lock's missing packages, and leaves the others' files alone.
npm_add() {
  say "Adding node packages"
  npm install --include=dev --no-save --no-audit --no-fund --loglevel=error
}
