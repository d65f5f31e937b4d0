#!/usr/bin/env bash
# A real Prometheus scrapes a fleet through a spike and is asked the six questions of docs/OPERATIONS.md.
# `$FLOTA` is a built `flota`.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ -z "$(command -v prometheus)" ] || [ -z "$(command -v promtool)" ]; then
  apt-get update --quiet && apt-get install --yes --quiet prometheus
fi
exec python3 tests/prometheus/spike.py "${FLOTA:-target/debug/flota_under_test}"
