#!/usr/bin/env bash
# MovieLens 100k from download to scored rows: what `make demo` runs. Needs dagfm's environment on the PATH.
# DAGFM_DATA names another folder for data sets than data/; its ml-100k/ may be filled beforehand.
set -euo pipefail
cd "$(dirname "$0")/../.."

data=${DAGFM_DATA:-$PWD/data}/ml-100k
run=runs/ml-100k

dagfm data get ml-100k -o "$data"
dagfm fit examples/ml-100k/dagfm.yaml -o "$run" --baseline scratch --baseline fm \
    --set data.train="$data/ml-100k.inter" \
    --set data.tables.user_id="$data/ml-100k.user" \
    --set data.tables.item_id="$data/ml-100k.item"
python examples/ml-100k/score.py "$run/bundle"
