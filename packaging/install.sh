#!/bin/sh
# Installs the command `flota` from a release, after its checksum is verified:
#
#   sh install.sh [--version VERSION] [--to FOLDER] [--from PLACE] [--target TARGET]
#
#   --version  such as 0.1.0; the latest release if it is not given
#   --to       the folder of the command; ~/.local/bin if it is not given
#   --from     a mirror of the releases: a URL, or a folder that holds flota-TARGET.tar.gz and its .sha256
#   --target   such as x86_64-unknown-linux-musl; chosen for this machine if it is not given
#
# Nothing is run with other rights, and no file but the command is written.
set -eu

# The workflow of a release writes the URL of the project's releases here.
releases=''

fail() {
  echo "error: $*" >&2
  exit 1
}

usage() {
  sed -n '2,11s/^# \{0,1\}//p' "$0"
}

# The first glibc that the binaries run on is 2.28; elsewhere the ones that need no libc run.
linux_libc() {
  libc=$(getconf GNU_LIBC_VERSION 2>/dev/null) || libc=
  case $libc in
    'glibc 2.'*)
      minor=${libc#glibc 2.}
      minor=${minor%%.*}
      [ "$minor" -lt 28 ] || { echo gnu && return; }
      ;;
  esac
  echo musl
}

this_target() {
  case $(uname -m) in
    x86_64 | amd64) machine=x86_64 ;;
    aarch64 | arm64) machine=aarch64 ;;
    *) fail "there is no binary for $(uname -m): build flota from its source" ;;
  esac
  case $(uname -s) in
    Linux) echo "$machine-unknown-linux-$(linux_libc)" ;;
    Darwin) echo "$machine-apple-darwin" ;;
    *) fail "there is no binary for $(uname -s): build flota from its source" ;;
  esac
}

# Puts the file $2 of the place $1 into the folder $3.
fetch() {
  case $1 in
    *://*)
      if command -v curl >/dev/null; then
        curl --fail --silent --show-error --location --proto-redir =https --retry 3 --output "$3/$2" "$1/$2"
      elif command -v wget >/dev/null; then
        wget --quiet --tries 3 --output-document "$3/$2" "$1/$2"
      else
        fail "curl or wget is needed"
      fi
      ;;
    *) cp "$1/$2" "$3/$2" ;;
  esac || fail "cannot fetch $1/$2"
}

# Whether the archive in the folder $1 has the checksum beside it.
verify() {
  if command -v sha256sum >/dev/null; then
    (cd "$1" && sha256sum --check "$archive.sha256" >/dev/null 2>&1)
  elif command -v shasum >/dev/null; then
    (cd "$1" && shasum --algorithm 256 --check "$archive.sha256" >/dev/null 2>&1)
  else
    fail "sha256sum or shasum is needed"
  fi
}

# Called last, so that a script that arrives in part does nothing.
main() {
  version='' to="${HOME:-}/.local/bin" from=$releases target=''
  while [ $# -gt 0 ]; do
    case $1 in
      --help | -h) usage && exit ;;
      --version | --to | --from | --target) [ $# -ge 2 ] || fail "$1 needs a value" ;;
      *) fail "unknown argument $1: see --help" ;;
    esac
    case $1 in
      --version) version=${2#v} ;;
      --to) to=$2 ;;
      --from) from=$2 ;;
      --target) target=$2 ;;
    esac
    shift 2
  done
  [ -n "$from" ] || fail "this script is not from a release: name one by --from"
  [ -n "$target" ] || target=$(this_target)
  if [ "$from" = "$releases" ]; then
    [ -n "$version" ] && from="$releases/download/v$version" || from="$releases/latest/download"
  fi

  name="flota-$target"
  archive="$name.tar.gz"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  fetch "$from" "$archive" "$work"
  fetch "$from" "$archive.sha256" "$work"
  grep -q "^[0-9a-f]\{64\}  $archive\$" "$work/$archive.sha256" || fail "$from/$archive.sha256 is no checksum"
  verify "$work" || fail "$from/$archive has another checksum than $archive.sha256 says"
  tar -xzf "$work/$archive" -C "$work"
  found=$("$work/$name/flota" --version) || fail "$archive does not run on this machine"
  if [ -n "$version" ] && [ "$found" != "flota $version" ]; then
    fail "$from has $found instead of $version"
  fi
  mkdir -p "$to"
  # Beside its place and then moved: a flota that runs is not written over.
  cp "$work/$name/flota" "$to/.flota.new"
  chmod 755 "$to/.flota.new"
  mv "$to/.flota.new" "$to/flota"
  echo "installed $found as $to/flota"
  case ":${PATH:-}:" in
    *":$to:"*) ;;
    *) echo "$to is not in PATH" ;;
  esac
}

main "$@"
