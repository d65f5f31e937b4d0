#!/usr/bin/env bash
# Lints what no compiler reads: the Dockerfile, the compose file, the workflows, the shell scripts and the IAM
# policies. The linters are pinned in lint-requirements.txt and live in a cache outside the checkout.
set -euo pipefail
cd "$(dirname "$0")/.."

requirements=infra/lint-requirements.txt
python=${PYTHON:-python3}
if ! command -v "$python" >/dev/null; then
  echo "error: the linters need Python 3.10 or later: install it, or name it by PYTHON=…" >&2
  exit 1
fi

cache=${XDG_CACHE_HOME:-$HOME/.cache}/flota
tools=$cache/lint-$("$python" - "$requirements" <<'PYTHON'
import hashlib, pathlib, sys
pinned = pathlib.Path(sys.argv[1]).read_bytes()
print(hashlib.sha256(pinned + sys.version.encode()).hexdigest()[:16])
PYTHON
)
if [ ! -d "$tools" ]; then
  # Made aside and moved, so that a half-made one is never used.
  mkdir -p "$cache"
  making=$(mktemp -d "$cache/lint-XXXXXX")
  trap 'rm -rf "$making"' EXIT
  "$python" -m pip install --quiet --disable-pip-version-check --root-user-action ignore \
    --target "$making" --requirement "$requirements"
  mv -T "$making" "$tools" 2>/dev/null || [ -d "$tools" ]
fi
export PYTHONPATH=$tools

"$tools/bin/hadolint" --failure-threshold style infra/Dockerfile
"$python" -m check_jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
"$python" -m check_jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
scripts=(.ci/run packaging/prebuilt/cargo)
while IFS= read -r script; do
  scripts+=("$script")
done < <(find . -name '*.sh' -not -path './target/*' -not -path '*/node_modules/*')
"$tools/bin/shellcheck" "${scripts[@]}"
for policy in infra/iam/*.json; do
  "$python" -m json.tool "$policy" >/dev/null
done
echo "infra: the Dockerfile, the compose file, the workflows, the scripts and the policies are in order"
