#!/usr/bin/env bash
# A long context. A 4-layer model reads a prompt of 131,072 tokens with --ctx 262144 inside its budget.
# Decode of the 35B-A3B shape, all in memory: its share of what the memory's bandwidth allows, and its
# rate at 32,768 positions beside that at 512. Needs memory for the whole model and an hour.
# PROMPT_TOKENS (131072) and DEPTH (32768) shorten it.
# speed: slow
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/big.sh"
need_program "$LARDER"
small=$SCRATCH/long-context.gguf
trap 'rm -f "$small"; big_cleanup' EXIT
prompt_tokens=${PROMPT_TOKENS:-131072}
depth=${DEPTH:-32768}

"$LARDER" synth --shape qwen3.5-35b-a3b --layers 4 -o "$small" >&2
report=$SCRATCH/long-prompt.json
rc=0
"$LARDER" bench -m "$small" --memory 6G --ctx 262144 -p "$prompt_tokens" -n 0 -r 1 -o json >"$report" || rc=$?
cat "$report" >&2
verdict "prompt of $prompt_tokens tokens, --ctx 262144: exit status" "$rc" == 0
verdict "peak resident memory of it, in a budget of 6 GiB" \
  "$(awk -v b="$(json_number "$report" peak_resident_bytes)" 'BEGIN { printf "%.3f", b / 1073741824 }')" '<=' 6.12 GiB
echo "its rate: $(json_number "$report" prefill_tokens_per_second) tokens/s"
rm -f "$small"

if [[ $(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo) -lt $((21 * 1024 * 1024)) ]]; then
  skip "decode at $depth: 21 GiB of memory are not free"
  finish
fi
need_big
# The last repetition counts: by then every expert is resident.
decode() {  # DEPTH OUTPUT
  "$LARDER" bench -m "$BIG" -p 0 -n 32 -d "$1" -r "$3" --ctx $((depth + 256)) -o json >"$2" \
    || fail "decode at $1 ended with $?"
  cat "$2" >&2
}
decode 512 "$SCRATCH/decode-near.json" 3
decode "$depth" "$SCRATCH/decode-far.json" 1
verdict "decode, share of bytes touched over memory bandwidth" \
  "$(json_number "$SCRATCH/decode-near.json" decode_share_of_limit)" '>=' 0.70
near=$(json_number "$SCRATCH/decode-near.json" decode_tokens_per_second)
far=$(json_number "$SCRATCH/decode-far.json" decode_tokens_per_second)
verdict "decode at $depth (${far:-?} tokens/s) beside 512 (${near:-?})" \
  "$(awk -v a="${far:-0}" -v b="${near:-0}" 'BEGIN { printf "%.3f", (b > 0 ? a / b : 0) }')" '>=' 0.70
finish
