#!/usr/bin/env bash
# A long context. Decode of the 35B-A3B shape, all in memory: its share of what the memory's bandwidth
# allows, and its rate at 32,768 positions beside that at 512. A 4-layer model reads a prompt of
# 131,072 tokens with --ctx 262144 inside its budget. Needs 25 GB below SCRATCH (or MODEL, a file made
# by synth), as much memory as the model, and half an hour. PROMPT_TOKENS shortens the prompt.
# speed: slow
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
MODEL=${MODEL:-$SCRATCH/big.gguf}
SMALL=$SCRATCH/long-context.gguf
PROMPT_TOKENS=${PROMPT_TOKENS:-131072}
made_big=0
cleanup() {
  rm -f "$SMALL"
  [[ $made_big -eq 0 || "${KEEP_BIG:-0}" == 1 ]] || rm -f "$MODEL"
}
trap cleanup EXIT

decode_rate() {  # DEPTH OUTPUT
  "$LARDER" bench -m "$MODEL" -p 0 -n 32 -d "$1" -r 2 --ctx 33024 -o json >"$2" \
    || fail "decode at $1 ended with $?"
  json_number "$2" decode_tokens_per_second
}

long_decode() {
  local free_kib memory_kib
  free_kib=$(df -k --output=avail "$SCRATCH" | tail -1)
  memory_kib=$(awk '/^MemAvailable:/ { print $2 }' /proc/meminfo)
  if [[ ! -f "$MODEL" && $free_kib -lt $((25 * 1024 * 1024)) ]]; then
    skip "decode at 32,768: $SCRATCH has $((free_kib / 1048576)) GB free, 25 are needed"
    return 0
  fi
  if [[ $memory_kib -lt $((21 * 1024 * 1024)) ]]; then
    skip "decode at 32,768: $((memory_kib / 1048576)) GiB of memory are free, 21 are needed"
    return 0
  fi
  if [[ ! -f "$MODEL" ]]; then
    made_big=1
    "$LARDER" synth --shape qwen3.5-35b-a3b -o "$MODEL" >&2
  fi
  local near far
  near=$(decode_rate 512 "$SCRATCH/decode-512.json")
  verdict "decode, share of bytes touched over memory bandwidth" \
    "$(json_number "$SCRATCH/decode-512.json" decode_share_of_limit)" '>=' 0.70
  far=$(decode_rate 32768 "$SCRATCH/decode-32768.json")
  verdict "decode at 32,768 (${far:-?} tokens/s) beside 512 (${near:-?})" \
    "$(awk -v a="${far:-0}" -v b="${near:-0}" 'BEGIN { printf "%.3f", b > 0 ? a / b : 0 }')" '>=' 0.70
}

long_prompt() {
  "$LARDER" synth --shape qwen3.5-35b-a3b --layers 4 -o "$SMALL" >&2
  local report=$SCRATCH/long-prompt.json rc=0
  "$LARDER" bench -m "$SMALL" --memory 6G --ctx 262144 -p "$PROMPT_TOKENS" -n 0 -r 1 -o json \
    >"$report" || rc=$?
  verdict "prompt of $PROMPT_TOKENS tokens, --ctx 262144, exit status" "$rc" == 0
  verdict "peak resident memory of it" \
    "$(awk -v b="$(json_number "$report" peak_resident_bytes)" 'BEGIN { printf "%.3f", b / 1073741824 }')" \
    '<=' 6.12 GiB
  verdict "its rate" "$(json_number "$report" prefill_tokens_per_second)" '>' 0 tokens/s
}

long_prompt
long_decode
finish
