#!/usr/bin/env bash
# A 2,048-token prompt of a 20 GB model in 8 GiB keeps at least 85 % of the rate it would have fully
# resident. Where the machine has no memory for all of it, the resident rate is that of the same
# shape cut to RESIDENT_LAYERS (8) layers, times their share of the layers. The cut model is also
# run with slots for as large a share of its experts as the whole one has. PROMPT and RUNS shorten it, SMALL=FILE
# names a cut model made before.
# speed: slow
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/big.sh"
need_big
make_group 8912056320
layers=${RESIDENT_LAYERS:-8}
prompt=${PROMPT:-2048}
small=${SMALL:-$SCRATCH/resident.gguf}
if [[ ! -f "$small" ]]; then
  trap 'rm -f "$small"; big_cleanup' EXIT
  "$LARDER" synth --shape qwen3.5-35b-a3b --layers "$layers" -o "$small" >&2
fi

rates() { awk -v t="$(json_number "$1" median)" 'BEGIN { print t }'; }
resident=$SCRATCH/prompt-resident.json
"$LARDER" bench -m "$small" --memory $((layers / 2 + 3))G -p "$prompt" -n 0 -r "${RUNS:-3}" \
  --workload mid -o json >"$resident"
cat "$resident" >&2
grep -q 'everything fits' "$resident" || fail "the cut model does not fit its budget"
# The last row is the warm one.
warm=$(grep -o '"median": *[0-9.]*' "$resident" | tail -1 | sed 's/.*: *//')
full=$(awk -v r="$warm" -v n="$layers" 'BEGIN { printf "%.2f", r * n / 40 }')
drop_from_page_cache "$BIG"
report=$SCRATCH/prompt-8G.json
grouped "$report" "$LARDER" bench -m "$BIG" --memory 8G -p "$prompt" -n 0 -r 1 --workload mid -o json
rate=$(rates "$report")
echo "$prompt tokens at 8 GiB: $rate tokens/s; $layers layers fully resident: $warm, so 40: $full"
# 34 % of 256 experts in each layer, 1,769,472 bytes each.
share=$("$LARDER" inspect "$small" --json | grep -o '"smallest_budget_bytes": *[0-9]*' | sed 's/.*: *//')
streamed=$SCRATCH/prompt-streamed.json
"$LARDER" bench -m "$small" --memory $((share + 268435456 + layers * 87 * 1769472)) -p "$prompt" -n 0 -r "${RUNS:-3}" \
  --workload mid -o json >"$streamed"
cat "$streamed" >&2
part=$(grep -o '"median": *[0-9.]*' "$streamed" | tail -1 | sed 's/.*: *//')
echo "$layers layers with $(sed -n 's/.*expert slots of [0-9]* (\([0-9.]*\) %.*/\1/p' "$streamed" | head -1) % of the experts in slots:" \
  "$part tokens/s, $(awk -v a="$part" -v b="$warm" 'BEGIN { printf "%.3f", a / b }') of resident"
verdict "$prompt-token prompt, share of the resident rate" \
  "$(awk -v a="$rate" -v b="$full" 'BEGIN { printf "%.3f", a / b }')" '>=' 0.85
verdict "peak resident memory" \
  "$(awk -v b="$(json_number "$report" peak_resident_bytes)" 'BEGIN { printf "%.3f", b / 1073741824 }')" '<=' 8.16 GiB
finish
