#!/usr/bin/env bash
# Predictions before the file exists against what `bench` then measures: qwen3.5-35b-a3b at 4G to 20G with MID routing, decode
# and prefill within 20 %, one table. A plan speaks of a warm cache: the first repetition of the prompt does not count.
# A disk that others use changes by half from minute to minute, so every budget is planned (with an empty cache folder) and
# measured PAIRS times in turn, and the medians of the pairs' ratios count. BUDGETS, PAIRS and RUNS shorten it; 20 minutes.
# speed: slow
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/big.sh"
need_program "$LARDER"
XDG_CACHE_HOME=$SCRATCH/plan-cache
export XDG_CACHE_HOME
budgets=${BUDGETS:-4G 6G 8G 12G 20G}
folder=$(dirname "$BIG")
# plan BUDGETS: the figures of a plan that finds nothing of this machine on record.
plan() {
  rm -rf "$XDG_CACHE_HOME"
  "$LARDER" plan --shape qwen3.5-35b-a3b --memory "$1" --types Q4_K --disk "$folder" -p 512 --ctx 1024 --json >"$SCRATCH/plan-35b.json"
  rm -rf "$XDG_CACHE_HOME"
}
# predicted KEY [BUDGET]: the expected rates, one line for every budget; a plan adds budgets of its own to a single one.
predicted() {
  awk -v key="\"$1\":" -v budget="${2:-}" 'BEGIN { want = budget == "" ? "" : sprintf("%.0f", budget * 2 ^ 30) }
    $1 == "\"budget_bytes\":" { here = $2; sub(",", "", here) }
    $1 == key { inside = 1 }
    inside && $1 == "\"expected\":" { sub(",", "", $2); inside = 0; if (want == "" || want == here) print $2 }' "$SCRATCH/plan-35b.json"
}
# falls: how often a figure is smaller than the one before it.
falls() { awk 'NR > 1 && $1 < last { n++ } { last = $1 } END { print n + 0 }'; }
# apart FILE COLUMN: how far the median of the ratios in that column is from 1, in percent.
apart() { sort -g -k"$2,$2" "$1" | awk -v c="$2" '{ r[NR] = $c } END { m = (r[int((NR + 1) / 2)] + r[int(NR / 2) + 1]) / 2; printf "%.1f", 100 * (m > 1 ? m - 1 : 1 - m) }'; }

plan "${budgets// /,}"
verdict "predictions of decode that fall as memory grows" "$(predicted decode_tokens_per_second | falls)" == 0
verdict "predictions of prefill that fall as memory grows" "$(predicted prefill_tokens_per_second | falls)" == 0
need_big
echo "| budget | decode predicted | measured | prefill predicted | measured |"
echo "|---|---|---|---|---|"
rows=()
for budget in $budgets; do
  : >"$SCRATCH/plan-pairs"
  for ((i = 0; i < ${PAIRS:-3}; ++i)); do
    plan "$budget"
    "$LARDER" bench -m "$BIG" --memory "$budget" --ctx 1024 -p 512 -n 64 -r "${RUNS:-2}" --workload mid --profile none -o json >"$SCRATCH/bench-35b.json"
    # Rows: the prompt from a cold cache, the prompt from a warm one, the answer.
    prefill=$(grep -o '"median": *[0-9.]*' "$SCRATCH/bench-35b.json" | sed -n '2s/.*: *//p')
    echo "$(predicted decode_tokens_per_second "$budget") $(json_number "$SCRATCH/bench-35b.json" decode_tokens_per_second)" \
      "$(predicted prefill_tokens_per_second "$budget") $prefill" \
      | awk -v budget="$budget" -v pairs="$SCRATCH/plan-pairs" '{ print ($2 > 0 ? $1 / $2 : 9), ($4 > 0 ? $3 / $4 : 9) >>pairs
          printf "| %s | %.2f | %.2f | %.1f | %.1f |\n", budget, $1, $2, $3, $4 }'
  done
  rows+=("$budget $(apart "$SCRATCH/plan-pairs" 1) $(apart "$SCRATCH/plan-pairs" 2)")
done
for row in "${rows[@]}"; do
  read -r budget decode prefill <<<"$row"
  verdict "$budget: decode, predicted against measured, apart" "$decode" '<=' 20 %
  verdict "$budget: prefill, predicted against measured, apart" "$prefill" '<=' 20 %
done
finish
