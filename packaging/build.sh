#!/usr/bin/env bash
# Builds what a release has for one target, into target/dist, which is emptied before:
#
#   packaging/build.sh [TARGET]        a target of rustc; by default this machine's
#   packaging/build.sh --binary FILE   of a `flota` that is built already, for this machine: it takes seconds
#
#   flota-VERSION-py3-none-PLATFORM.whl   the command in a wheel
#   flota-TARGET.tar.gz                   the same bytes as an archive, for install.sh and `cargo binstall`
#   flota-TARGET.tar.gz.sha256            its checksum, as `sha256sum --check` reads it
#   flota-TARGET.cdx.json                 what it was built of: an SBOM in CycloneDX's format
#
# For Linux, zig links against glibc 2.28 (RHEL 8, Debian 10, Ubuntu 18.10 and later) or musl 1.2, whatever this
# machine has. Needs Python 3.9 or later, and Rust with the target (`rustup target add TARGET`).
set -euo pipefail
cd "$(dirname "$0")/.."

binary=
if [ "${1:-}" = --binary ]; then
  binary=$(realpath "${2:?--binary needs the path of a built flota}")
  shift 2
fi
target=${1:-$(rustc -vV | sed -n 's/^host: //p')}
dist=${CARGO_TARGET_DIR:-target}/dist
cache=${XDG_CACHE_HOME:-$HOME/.cache}/flota

options=(--out "$dist/wheel")
requirements=(-r packaging/requirements.txt)
if [ -n "$binary" ]; then
  options+=(--profile dev)
else
  # The prefix of this machine's folders would stand in panic messages.
  export RUSTFLAGS="${RUSTFLAGS:-} --remap-path-prefix=$PWD=flota --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
  options+=(--release --target "$target")
  case $target in
    *-linux-gnu) options+=(--zig --compatibility manylinux_2_28) ;;
    *-linux-musl) options+=(--zig --compatibility musllinux_1_2) ;;
  esac
  requirements+=(-r packaging/requirements-zig.txt)
fi

environment="$cache/packaging-$(cat packaging/requirements*.txt | cksum | cut -d' ' -f1)${binary:+-prebuilt}"
if [ ! -x "$environment/bin/maturin" ]; then
  echo "installing maturin into $environment, once"
  mkdir -p "$cache"
  part=$(mktemp -d "$cache/packaging-part-XXXXXX")
  trap 'rm -rf "$part"' EXIT
  python3 -m venv "$part"
  "$part/bin/python" -m pip install --quiet --disable-pip-version-check "${requirements[@]}"
  # Whole or not at all; where another run was faster, its environment is as good.
  mv "$part" "$environment" 2>/dev/null || test -x "$environment/bin/maturin"
fi
# Its python has zig, and its programs name the folder that they were installed into.
export PATH="$environment/bin:$PATH"
maturin="$environment/bin/maturin"

rm -rf "$dist"
mkdir -p "$dist"
if [ -n "$binary" ]; then
  # Its debug information is most of it, and nobody needs that from a package.
  mkdir "$dist/prebuilt"
  strip -o "$dist/prebuilt/flota" "$binary"
  FLOTA_PREBUILT=$(realpath "$dist/prebuilt/flota") PATH="$PWD/packaging/prebuilt:$PATH" "$maturin" build "${options[@]}"
  rm -r "$dist/prebuilt"
else
  "$maturin" build "${options[@]}"
fi
python3 packaging/archive.py "$dist"/wheel/flota-*.whl "$target" "$dist"
mv "$dist"/wheel/flota-*.whl "$dist/"
rmdir "$dist/wheel"
