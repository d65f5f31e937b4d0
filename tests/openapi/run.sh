#!/usr/bin/env bash
# Generates a Python and a TypeScript client from the document that a fleet serves, compiles both, submits an
# image with the first and reads a score, and lets schemathesis look for answers that the document does not
# describe: by its examples and its edge cases, which are the same in each run. `PHASES=fuzzing,stateful` looks
# on. `$FLOTA` is a built `flota`. Needs Python 3.11 and Node 20.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
flota=${FLOTA:-target/debug/flota_under_test}

cache="${XDG_CACHE_HOME:-$HOME/.cache}/flota"
wanted=$(cat "$here/requirements.txt" "$here/package.json" | sha256sum | cut -c1-16)
tools="$cache/openapi-$wanted"
work=$(mktemp -d)
fleet=
cleanup() {
  if [ -n "$fleet" ]; then
    kill "$fleet" 2>/dev/null && wait "$fleet" 2>/dev/null || true
  fi
  rm -rf "$work" "${part:-}"
}
trap cleanup EXIT
if [ ! -x "$tools/python/bin/python" ]; then
  echo "installing the generators into $tools, once"
  mkdir -p "$cache"
  part=$(mktemp -d "$cache/openapi-part-XXXXXX")
  python3 -m venv "$part/python"
  "$part/python/bin/python" -m pip install --quiet --disable-pip-version-check -r "$here/requirements.txt"
  cp "$here/package.json" "$part/"
  npm install --prefix "$part" --silent --no-fund --no-audit
  # Whole or not at all; where another run was faster, its folder is as good.
  mv -T "$part" "$tools" || test -x "$tools/python/bin/python"
fi

# The generator formats what it writes by a program of its own environment.
PATH="$tools/python/bin:$PATH"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
url="http://127.0.0.1:$port"
"$flota" up --models image-quality --data-dir "$work/data" --listen "127.0.0.1:$port" \
  --set log.level=warn >"$work/fleet.log" 2>&1 </dev/zero &
fleet=$!
for _ in $(seq 120); do
  if python3 -c "import urllib.request; urllib.request.urlopen('$url/readyz')" 2>/dev/null; then break; fi
  sleep 0.5
done
document="$work/openapi.json"
python3 -c "import urllib.request; print(urllib.request.urlopen('$url/openapi.json').read().decode())" >"$document"

echo "openapi-python-client"
(
  cd "$work"
  "$tools/python/bin/openapi-python-client" generate --path "$document" --output-path client \
    --fail-on-warning --meta none
)
"$tools/python/bin/python" -m compileall -q "$work/client"
PYTHONPATH="$work" "$tools/python/bin/python" "$here/score.py" "$url" examples/images/harbour-faded.jpg

echo "openapi-typescript"
"$tools/node_modules/.bin/openapi-typescript" "$document" --output "$work/api.d.ts" >/dev/null
cp "$here/score.ts" "$work/"
"$tools/node_modules/.bin/tsc" --noEmit --strict --target es2022 --module esnext --moduleResolution bundler \
  "$work/score.ts"

echo "schemathesis"
(
  cd "$work"
  check() {
    "$tools/python/bin/schemathesis" run "$document" --url "$url" --phases "${PHASES:-examples,coverage}" \
      --max-examples 20 --generation-deterministic --seed 1 --request-timeout 70 --max-time 120 "$@"
  }
  check --checks all --exclude-checks positive_data_acceptance
  # Whether all that the document allows is taken. Three calls refuse more than a document can say: a model that is
  # not known, a key that was used for another body, a discard without any condition.
  check --checks positive_data_acceptance --exclude-path-regex '^/v1/(requests|dead-letters/(replay|discard))$'
)
