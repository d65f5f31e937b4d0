#!/usr/bin/env bash
# Runs the differential gate on the engine, built with the cargo features that are given: none, or
# `turbojpeg`. Options after `--` go to gate.py.
set -euo pipefail
cd "$(dirname "$0")/../../../.."
gate=crates/flota-engine/tests/differential

# What the tests before it were built for, so that nothing is built again.
selection=(--workspace)
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  selection+=(--features "flota/$1")
  shift
done
[ $# -eq 0 ] || shift

cache="${XDG_CACHE_HOME:-$HOME/.cache}/flota"
environment="$cache/differential-$(sha256sum "$gate/requirements.txt" | cut -c1-16)"
if [ ! -x "$environment/bin/python" ]; then
  echo "installing Pillow into $environment, once"
  mkdir -p "$cache"
  part=$(mktemp -d "$cache/differential-part-XXXXXX")
  trap 'rm -rf "$part"' EXIT
  python3 -m venv "$part"
  "$part/bin/python" -m pip install --quiet --disable-pip-version-check -r "$gate/requirements.txt"
  # Whole or not at all; where another run was faster, its environment is as good.
  mv -T "$part" "$environment" || test -x "$environment/bin/python"
fi
for program in cjpeg djpeg jpegtran; do
  if [ -z "$(command -v "$program")" ]; then
    apt-get update --quiet && apt-get install --yes --quiet libjpeg-turbo-progs
  fi
done

target=${CARGO_TARGET_DIR:-target}
cargo build --quiet --locked "${selection[@]}" --example decode_files
# A copy: the next build, with other features, must not change what runs.
program=$(mktemp)
trap 'rm -rf "$program" "${part:-}"' EXIT
cp "$target/debug/examples/decode_files" "$program"
chmod +x "$program"
"$environment/bin/python" "$gate/gate.py" "$program" "$@"
