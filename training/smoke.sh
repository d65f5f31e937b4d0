#!/usr/bin/env bash
# Runs every trainer on its tiny configuration, quantizes what comes of it, and lets the product check
# both model folders.
set -euo pipefail
cd "$(dirname "$0")/.."

cache="${XDG_CACHE_HOME:-$HOME/.cache}/flota"
environment="$cache/training-$(sha256sum training/requirements.txt | cut -c1-16)"
work=$(mktemp -d)
trap 'rm -rf "$work" "${part:-}"' EXIT

if [ ! -x "$environment/bin/python" ]; then
  echo "installing PyTorch and the rest into $environment, once"
  mkdir -p "$cache"
  part=$(mktemp -d "$cache/training-part-XXXXXX")
  python3 -m venv "$part"
  "$part/bin/python" -m pip install --quiet --disable-pip-version-check -r training/requirements.txt
  # Whole or not at all; where another run was faster, its environment is as good.
  mv -T "$part" "$environment" || test -x "$environment/bin/python"
fi

quantize() {
  PYTHONPATH=training OMP_NUM_THREADS=1 "$environment/bin/python" -m flota_training.quantize "$@"
}
# `$FLOTA` is a built `flota`; the trainers ask it too.
if [ -z "${FLOTA:-}" ]; then
  cargo build --quiet --locked --package flota
  FLOTA="${CARGO_TARGET_DIR:-$PWD/target}/debug/flota"
fi
export FLOTA
libraries=("$environment"/lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so.*)

for trainer in workers/*/train/train.py; do
  home=$(dirname "$trainer")
  name=$(basename "$(dirname "$home")")
  echo "training $name"
  for run in model again; do
    PYTHONPATH=training OMP_NUM_THREADS=1 "$environment/bin/python" "$trainer" \
      --config tiny --folds 2 --labels "$home/smoke.csv" --threads 1 \
      --out "$work/$name/$run" --work "$work/$name/work-$run"
  done
  if ! cmp "$work/$name/model/$name.onnx" "$work/$name/again/$name.onnx"; then
    echo "training $name twice with one seed made two networks"
    exit 1
  fi
  "$FLOTA" model check "$work/$name/model"

  echo "quantizing $name"
  quantize "$work/$name/model" --data "$work/$name/work-model/drawn" --images 8 --method minmax \
    --keep Gemm --out "$work/$name/int8" --json >"$work/$name/int8.json"
  grep --quiet '"version": ".*-int8"' "$work/$name/int8.json"
  FLOTA__ENGINE__KIND=onnxruntime FLOTA__ENGINE__LIBRARY="${libraries[0]}" \
    "$FLOTA" model check "$work/$name/int8"
  if quantize "$work/$name/int8" --data "$work/$name/work-model/drawn" 2>"$work/$name/refusal"; then
    echo "quantized $name twice"
    exit 1
  fi
  grep --quiet 'quantized already' "$work/$name/refusal"
done
