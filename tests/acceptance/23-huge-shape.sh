#!/usr/bin/env bash
# 6 layers of the 397B-A17B shape at 4 bits (22 GB) with memory for 16 % of their experts: tokens/s, its
# limits, and what 60 such layers would give on a disk of 7 GB/s with 80 GB/s of memory, by the same
# arithmetic and the same share of the pipeline limit.
# speed: slow
. "$(dirname "$0")/lib.sh"
BIG=${HUGE:-$SCRATCH/huge.gguf}
. "$(dirname "$0")/big.sh"
need_big qwen3.5-397b-a17b 6
dense=$("$LARDER" inspect "$BIG" --json | grep -o '"smallest_budget_bytes": *[0-9]*' | sed 's/.*: *//')
experts=$((6 * 512 * 7077888))
# The smallest budget holds slots for one token of every layer's class: 10 experts.
budget=$((dense - 10 * 7077888 + experts * 16 / 100))
make_group $((budget + 314572800))
drop_from_page_cache "$BIG"
disk=$(fio_rate 2359296 5)
report=$SCRATCH/huge.json
grouped "$report" "$LARDER" bench -m "$BIG" --memory "$budget" -p 0 -n "${TOKENS:-128}" -r 1 \
  --workload mid --recall 0.75 --disk-rate "$disk" -o json
number() { json_number "$report" "$1"; }
share=$(sed -n 's/.*expert slots of [0-9]* (\([0-9.]*\) %.*/\1/p' "$report" | head -1)
echo "6 layers of 397B-A17B, $share % of the experts in slots: $(number decode_tokens_per_second) tokens/s;" \
  "limit by bytes $(number limit_tokens_per_second), by the pipeline" \
  "$(number pipeline_limit_tokens_per_second) at $disk bytes/s by fio; hits $(number decode_hit_rate)"
awk -v hits="$(number decode_hit_rate)" -v reached="$(number decode_share_of_pipeline)" \
  -v touched="$(number dense_bytes)" 'BEGIN {
    record = 7077888; disk = 7e9; memory = 80e9; layers = 60; used = 10
    output = 248320 * 4096 * 34 / 32
    dense = (touched - output) / 6
    missed = used * (1 - hits) * record
    reads = missed / disk; resident = used * hits * record / memory
    pipeline = layers * (dense / memory + (reads > resident ? reads : resident) + record / memory) + output / memory
    by_bytes = layers * missed / disk
    all = (layers * (dense + used * record) + output) / memory
    simple = by_bytes > all ? by_bytes : all
    printf "60 layers, 7 GB/s disk, 80 GB/s memory: limit by bytes %.2f tokens/s, by the pipeline %.2f; at the share reached here %.2f tokens/s\n", 1 / simple, 1 / pipeline, reached / pipeline
  }'
verdict "slots, share of the experts" "$share" '>=' 15 %
verdict "decode, share of the pipeline limit" "$(number decode_share_of_pipeline)" '>' 0
verdict "peak resident memory, share of the budget" \
  "$(awk -v p="$(number peak_resident_bytes)" -v b="$budget" 'BEGIN { printf "%.3f", p / b }')" '<=' 1.02
finish
