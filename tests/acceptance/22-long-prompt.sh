#!/usr/bin/env bash
# A 2,048-token prompt of a 20 GB model in 8 GiB keeps at least 85 % of the rate it would have fully
# resident. Where the machine has no memory for all of it, the resident rate is that of the same
# shape cut to RESIDENT_LAYERS (8) layers, times their share of the layers.
# speed: slow
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/big.sh"
need_big
make_group 8912056320
small=$SCRATCH/resident.gguf
layers=${RESIDENT_LAYERS:-8}
trap 'rm -f "$small"; big_cleanup' EXIT
"$LARDER" synth --shape qwen3.5-35b-a3b --layers "$layers" -o "$small" >&2

rates() { awk -v t="$(json_number "$1" median)" 'BEGIN { print t }'; }
resident=$SCRATCH/prompt-resident.json
"$LARDER" bench -m "$small" --memory $((layers / 2 + 3))G -p 2048 -n 0 -r 3 --workload mid -o json >"$resident"
cat "$resident" >&2
grep -q 'everything fits' "$resident" || fail "the cut model does not fit its budget"
# The last row is the warm one.
warm=$(grep -o '"median": *[0-9.]*' "$resident" | tail -1 | sed 's/.*: *//')
full=$(awk -v r="$warm" -v n="$layers" 'BEGIN { printf "%.2f", r * n / 40 }')
drop_from_page_cache "$BIG"
report=$SCRATCH/prompt-8G.json
grouped "$report" "$LARDER" bench -m "$BIG" --memory 8G -p 2048 -n 0 -r 1 --workload mid -o json
rate=$(rates "$report")
echo "2,048 tokens at 8 GiB: $rate tokens/s; $layers layers fully resident: $warm, so 40: $full"
verdict "2,048-token prompt, share of the resident rate" \
  "$(awk -v a="$rate" -v b="$full" 'BEGIN { printf "%.3f", a / b }')" '>=' 0.85
verdict "peak resident memory" \
  "$(awk -v b="$(json_number "$report" peak_resident_bytes)" 'BEGIN { printf "%.3f", b / 1073741824 }')" '<=' 8.16 GiB
finish
