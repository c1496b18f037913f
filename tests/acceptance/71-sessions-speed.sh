#!/usr/bin/env bash
# Four sessions at once beside one: all in memory at least 2.0 times its tokens per second; streaming
# at about 60 % hits of one session at least 0.95 times with independent routing, 1.2 times when all
# prefer the same experts; four prompts together at least 1.5 times as fast as one after another.
# LAYERS of the 35B shape (6; all 40 with BIG=FILE of the whole model); SLOTS_SHARE is found by trial.
# speed: slow
. "$(dirname "$0")/lib.sh"
LAYERS=${LAYERS:-6}
BIG=${BIG:-$SCRATCH/sessions.gguf}
. "$(dirname "$0")/big.sh"
need_big qwen3.5-35b-a3b "$LAYERS"
BENCH=$BUILD/sessions_bench
need_program "$BENCH"
TOKENS=${TOKENS:-64}

figure() { sed -n "s/^$2 //p" "$1" | tail -1; }
run_bench() {  # run_bench NAME OPTIONS...
  local report=$SCRATCH/sessions-$1.txt
  shift
  "$BENCH" -m "$BIG" "$@" >"$report" || fail "sessions_bench $*"
  cat "$report" >&2
}

run_bench memory -n 64 -p 64
verdict 'in memory: four sessions beside one' "$(figure "$SCRATCH/sessions-memory.txt" answers_ratio)" '>=' 2.0 times

# The budget at which one session hits 60 %: from the file's size, then corrected once.
size=$(stat -c %s "$BIG")
memory=${MEMORY:-$((size / 2))}
if [[ -z "${MEMORY:-}" ]]; then
  for _ in 1 2 3; do
    run_bench trial --memory "$memory" --sessions 1 -n 48 --warm 48 -r 1
    hits=$(figure "$SCRATCH/sessions-trial.txt" single_hit_rate)
    memory=$(awk -v m="$memory" -v s="$size" -v h="$hits" 'BEGIN { printf "%.0f", m + (0.60 - h) * s * 0.7 }')
  done
fi
run_bench independent --memory "$memory" -n "$TOKENS" --warm "$TOKENS"
verdict 'streaming: hits of one session' "$(figure "$SCRATCH/sessions-independent.txt" single_hit_rate)" '>=' 0.57
verdict 'streaming: four independent sessions beside one' \
  "$(figure "$SCRATCH/sessions-independent.txt" answers_ratio)" '>=' 0.95 times
run_bench shared --memory "$memory" -n "$TOKENS" --warm "$TOKENS" --shared-ranking
verdict 'streaming: four sessions of one ranking beside one' \
  "$(figure "$SCRATCH/sessions-shared.txt" answers_ratio)" '>=' 1.2 times
run_bench prompts --memory "$memory" -n 0 -p 128 --batch 512
verdict 'streaming: four prompts together beside one after another' \
  "$(figure "$SCRATCH/sessions-prompts.txt" prompts_ratio)" '>=' 1.5 times
finish
