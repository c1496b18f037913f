#!/usr/bin/env bash
# Predictions before the file exists against what `bench` then measures: qwen3.5-35b-a3b at 4G to 20G with MID routing, decode
# and prefill within 20 %, one table. A plan speaks of a warm cache: the first repetition of the prompt does not count.
# BUDGETS and RUNS shorten it.
# speed: slow
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/big.sh"
need_program "$LARDER"
XDG_CACHE_HOME=$SCRATCH/plan-cache
export XDG_CACHE_HOME
rm -rf "$XDG_CACHE_HOME"
budgets=${BUDGETS:-4G 6G 8G 12G 20G}
folder=$(dirname "$BIG")
"$LARDER" plan --shape qwen3.5-35b-a3b --memory "${budgets// /,}" --types Q4_K --disk "$folder" -p 512 --ctx 1024 --json >"$SCRATCH/plan-35b.json"
rm -rf "$XDG_CACHE_HOME"
need_big
# predicted KEY INDEX: the expected rate at the n-th budget, from 1.
predicted() { sed -n "/\"$1\": {/,/}/s/.*\"expected\": \([0-9.e+-]*\).*/\1/p" "$SCRATCH/plan-35b.json" | sed -n "$2p"; }
apart() { awk -v a="$1" -v b="$2" 'BEGIN { d = b > 0 ? a / b - 1 : 9; print 100 * (d < 0 ? -d : d) }'; }
echo "| budget | decode predicted | measured | prefill predicted | measured |"
echo "|---|---|---|---|---|"
i=0 rows=()
for budget in $budgets; do
  i=$((i + 1))
  "$LARDER" bench -m "$BIG" --memory "$budget" --ctx 1024 -p 512 -n 64 -r "${RUNS:-3}" --workload mid --profile none -o json >"$SCRATCH/bench-35b.json"
  decode=$(json_number "$SCRATCH/bench-35b.json" decode_tokens_per_second)
  # Rows: the prompt from a cold cache, the prompt from a warm one, the answer.
  prefill=$(grep -o '"median": *[0-9.]*' "$SCRATCH/bench-35b.json" | sed -n '2s/.*: *//p')
  pd=$(predicted decode_tokens_per_second $i) pp=$(predicted prefill_tokens_per_second $i)
  echo "| $budget | $pd | $decode | $pp | $prefill |"
  rows+=("$budget $(apart "$pd" "$decode") $(apart "$pp" "$prefill")")
done
for row in "${rows[@]}"; do
  read -r budget decode prefill <<<"$row"
  verdict "$budget: decode, predicted against measured, apart" "$decode" '<=' 20 %
  verdict "$budget: prefill, predicted against measured, apart" "$prefill" '<=' 20 %
done
finish
