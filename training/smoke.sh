#!/usr/bin/env bash
# Runs every trainer on its tiny configuration and lets the product check the model folder.
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
  cargo run --quiet --locked --package flota -- model check "$work/$name/model"
done
