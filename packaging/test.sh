#!/usr/bin/env bash
# Installs what packaging/build.sh made, as users do, and runs it:
#
#   packaging/test.sh [FOLDER]    by default target/dist
#
# From an empty folder, the wheel must bring a command that verifies its first callback. install.sh must refuse
# an archive or a version that is not what it says.
set -euo pipefail
cd "$(dirname "$0")/.."
dist=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/dist}")
install=$PWD/packaging/install.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
  echo "FAILED: $*" >&2
  exit 1
}

wheels=("$dist"/flota-*.whl)
[ ${#wheels[@]} -eq 1 ] && [ -f "${wheels[0]}" ] || fail "$dist has not one wheel: ${wheels[*]}"
mkdir "$work/empty"
cd "$work/empty"
SECONDS=0
python3 -m venv ../venv
# Without an index and from the file alone: nothing is built or fetched.
../venv/bin/python -m pip install --quiet --disable-pip-version-check --no-index "${wheels[0]}"
../venv/bin/flota demo >../demo.txt
grep 'every signature verified' ../demo.txt || fail "the demo verified no callback"
[ -z "$(ls -A)" ] || fail "the demo left $(ls -A)"
echo "wheel: from an empty folder to the first verified callback in $SECONDS s"

archives=("$dist"/flota-*.tar.gz)
target=$(basename "${archives[0]}" .tar.gz)
target=${target#flota-}
version=$(../venv/bin/flota --version)
version=${version#flota }
sh "$install" --from "$dist" --target "$target" --to "$work/bin" --version "$version"
cmp "$work/bin/flota" ../venv/bin/flota || fail "the archive and the wheel hold different commands"

refuses() {
  if sh "$install" --target "$target" --to "$work/refused" "$@" 2>"$work/refusal"; then
    fail "install.sh took $*"
  fi
  sed 's/^error: /install.sh refuses: /; s,/[^ ]*/,,g' "$work/refusal"
  [ ! -e "$work/refused" ] || fail "install.sh wrote before it refused"
}
refuses --from "$dist" --version 9.9.9
cp -R "$dist" "$work/damaged"
printf x >>"$work/damaged/flota-$target.tar.gz"
refuses --from "$work/damaged"
echo "$(printf '0%.0s' $(seq 64))  other.tar.gz" >"$work/damaged/flota-$target.tar.gz.sha256"
refuses --from "$work/damaged"
refuses --from "$work/nowhere"
echo "packages: the wheel, the archive and install.sh are in order"
