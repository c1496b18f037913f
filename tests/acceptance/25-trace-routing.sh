#!/usr/bin/env bash
# A trace that `larder run --trace-routing` records goes through `larder bench --trace` and
# cache_replay. Lossy options do what they say, are off by default, and every run says so.
# speed: fast
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
need_program "$BUILD/cache_replay"
model=$ROOT/tests/golden/models/r4-s32-f32.gguf
trace=$SCRATCH/routing.csv
rm -f "$trace"
rc=0
"$LARDER" run -m "$model" --raw --temp 0 --ignore-eos -n 33 -p "hello" --trace-routing "$trace" \
  >/dev/null 2>"$SCRATCH/trace.log" || rc=$?
verdict "exit status of run --trace-routing" "$rc" == 0
verdict "answer steps in the trace" "$(grep '^[0-9].*,1$' "$trace" | cut -d, -f1 | sort -u | wc -l)" == 32
rc=0
"$BUILD/cache_replay" "$trace" --slots 25,50 >"$SCRATCH/replay.txt" 2>&1 || rc=$?
verdict "exit status of cache_replay" "$rc" == 0
rc=0
"$LARDER" bench -m "$model" -p 0 -n 8 -r 1 --memory 256M --trace "$trace" >"$SCRATCH/bench.md" 2>&1 || rc=$?
verdict "exit status of bench --trace" "$rc" == 0
gtest_figures trace_routing_test '*'
gtest_figures lossy_test '*'
for options in "--experts 1" "--expert-mass 0.5"; do
  said=$("$LARDER" logits -m "$model" --tokens 1,2,3 --json $options 2>/dev/null | grep -c '"lossy"' || true)
  verdict "JSON says so with $options" "$said" == 1
done
said=$("$LARDER" logits -m "$model" --tokens 1,2,3 --json 2>/dev/null | grep -c '"lossy"' || true)
verdict "JSON is silent without" "$said" == 0
finish
