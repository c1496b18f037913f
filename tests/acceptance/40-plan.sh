#!/usr/bin/env bash
# A plan needs no file and little time: qwen3.5-397b-a17b at 48G in under 60 s with an empty cache folder; rates that
# rise with memory; JSON and SVG that parse; another machine's figures measure nothing.
# speed: fast
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
XDG_CACHE_HOME=$SCRATCH/plan-cache
export XDG_CACHE_HOME
rm -rf "$XDG_CACHE_HOME"
start=$SECONDS rc=0
"$LARDER" plan --shape qwen3.5-397b-a17b --memory 48G --quick --disk "$SCRATCH" --types Q4_K,Q2_K --json >"$SCRATCH/plan.json" || rc=$?
if [[ $rc -ne 0 ]] && ! grep -q direct "$SCRATCH/plan.json"; then
  skip "the disk of $SCRATCH cannot be measured here"
else
  verdict "plan for 397B at 48G, empty cache" $((SECONDS - start)) '<' 60 s
  verdict "its answer rate" "$(json_number "$SCRATCH/plan.json" decode_limit_tokens_per_second)" '>' 0 tokens/s
fi
cat >"$SCRATCH/laptop.json" <<'JSON'
{"name": "48 GB M3 Max", "disk_bytes_per_second": 17.5e9, "memory_bytes_per_second": 400e9, "memory_bytes": 48e9}
JSON
"$LARDER" plan --shape qwen3.5-35b-a3b --machine "$SCRATCH/laptop.json" --memory 4G,6G,8G,12G,20G --types Q4_K --svg "$SCRATCH/plan.svg" \
  --json >"$SCRATCH/plan.json"
falls=$(grep -A1 '"decode_tokens_per_second"' "$SCRATCH/plan.json" | sed -n 's/.*"expected": \([0-9.e+-]*\).*/\1/p' \
  | awk 'NR > 1 && $1 < last { ++n } { last = $1 } END { print (NR == 5) ? n + 0 : "no five rates" }')
verdict "budgets at which the predicted rate falls" "$falls" == 0
verdict "lines drawn" "$(grep -c '<polyline' "$SCRATCH/plan.svg" || true)" == 1
rm -rf "$XDG_CACHE_HOME"
finish
