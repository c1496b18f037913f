#!/usr/bin/env bash
# A prompt of 8,000 tokens on the demo model sent again: the first token after at most 5 % of the first
# time, also by a new engine that has only the folder on disk; the same answers. What is used stays
# on disk when the limit pushes others out. 25 kills while prompts are being saved (KILLS=200 for the
# whole claim): never a wrong answer.
# speed: fast
. "$(dirname "$0")/lib.sh"
BENCH=$BUILD/sessions_bench
need_program "$BENCH"
DEMO=${DEMO:-$ROOT/models/demo/larder-demo.gguf}
folder=$SCRATCH/prefixes
report=$SCRATCH/prefix.txt
rm -rf "$folder"
"$BENCH" -m "$DEMO" --ctx 8192 --prefix 8000 --disk "$folder" >"$report" || fail "sessions_bench --prefix"
cat "$report" >&2
figure() { sed -n "s/^$1 //p" "$report" | tail -1; }
verdict 'time to the first token, prompt sent again' "$(figure again_ratio)" '<=' 0.05 'of the first'
verdict 'time to the first token, after a restart' "$(figure restart_ratio)" '<=' 0.05 'of the first'
verdict 'answers that differ from the first' "$(figure answers_differ)" == 0
rm -rf "$folder"
gtest_figures prefix_restart_test '*'
LARDER_KILLS=${KILLS:-25} gtest_figures prefix_kill_test '*'
finish
