# Sourced by the scripts beside this folder: leaves a Bun of the pinned version in $bun and the dependencies of bun.lock in
# node_modules. Works with only Node and npm, or only Bun, on the PATH, and without a home folder. Plain POSIX sh.
#
# The pinned version is the development dependency "bun" in package.json, the npm package that carries Bun's binary.
# `root` is the top folder of the repository and must be set before.

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "setup: $1"
  say "  do: $2"
  exit 1
}

bun_pin=$(sed -n 's/^ *"bun": *"\([0-9][0-9.]*\)",*$/\1/p' "$root/package.json" | head -n 1)
[ -n "$bun_pin" ] || fail "package.json pins no version of bun" "restore devDependencies.bun in package.json"

# npm and Bun keep caches under the home folder; without a usable one they get a folder of their own.
if [ -z "${HOME:-}" ] || [ ! -d "$HOME" ] || [ ! -w "$HOME" ]; then
  HOME="$root/.bun/home"
  mkdir -p "$HOME"
  export HOME
fi

# True when $1 is a Bun that runs here and has the pinned version.
is_pinned() { [ -x "$1" ] && [ "$("$1" --version 2>/dev/null)" = "$bun_pin" ]; }

# Looks for the binary where Bun or npm puts it. The platform's own package comes first: the launcher in `bun` is
# only complete after an install script, and npm does not run those unless it is told to.
find_bun() {
  for candidate in "$1"/node_modules/@oven/bun-*/bin/bun "$1"/node_modules/bun/bin/bun.exe; do
    if is_pinned "$candidate"; then
      printf '%s\n' "$candidate"
      return 0
    fi
  done
  return 1
}

install_bun() {
  command -v npm >/dev/null 2>&1 ||
    fail "neither bun nor npm is on the PATH" "install Node 20 or newer (which brings npm), or Bun $bun_pin"
  say "setup: installing bun $bun_pin from npm into .bun/ (once)"
  mkdir -p "$root/.bun"
  printf '{ "private": true }\n' >"$root/.bun/package.json"
  (cd "$root/.bun" && npm install --prefix "$root/.bun" --no-save --no-package-lock --ignore-scripts --no-audit --no-fund --no-update-notifier --loglevel=error "bun@$bun_pin") >&2 ||
    fail "npm could not install bun@$bun_pin" "look at npm's message above; a proxy or registry is set with npm's own configuration"
}

# A Bun to install the dependencies with: the pinned one if it is here already, else any that is on the PATH, else npm's.
bun=$(find_bun "$root" || find_bun "$root/.bun" || command -v bun || true)
if [ -z "$bun" ] || ! "$bun" --version >/dev/null 2>&1; then
  install_bun
  bun=$(find_bun "$root/.bun") || fail "bun@$bun_pin was installed but does not run on $(uname -sm)" "use a platform that Bun supports"
fi

# Installed before from exactly these two files? Then nothing to do, and no network is needed.
stamp="$root/node_modules/.stead-setup"
wanted="$(cat "$root/package.json" "$root/bun.lock" | cksum) $(uname -sm)"
if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
  say "setup: installing dependencies from bun.lock"
  (cd "$root" && "$bun" install --frozen-lockfile --no-progress) >&2 ||
    fail "the dependencies could not be installed" "look at the message above; without a network, copy node_modules from a machine that has one"
  printf '%s\n' "$wanted" >"$stamp"
fi

bun=$(find_bun "$root" || find_bun "$root/.bun" || true)
[ -n "$bun" ] || fail "no bun $bun_pin in node_modules after the installation" "remove node_modules and .bun, and run this again"
# Applications and tests say `bun`: that name on the PATH is this one.
mkdir -p "$root/.bun/bin"
if [ "$(readlink "$root/.bun/bin/bun" 2>/dev/null || true)" != "$bun" ]; then ln -sf "$bun" "$root/.bun/bin/bun"; fi
PATH="$root/.bun/bin:$root/node_modules/.bin:$PATH"
export PATH
