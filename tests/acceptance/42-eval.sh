#!/usr/bin/env bash
# `larder eval` on the shipped suites: the demo model's own promises, with the answers' lower 95 % bounds beside them; the same
# seed gives the same results.
# speed: slow
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
out=$SCRATCH/eval.json
"$LARDER" eval -o "$out" >"$SCRATCH/eval.md" 2>"$SCRATCH/eval.err"
cat "$SCRATCH/eval.md"
# share GROUP CHECK: percent passed, from the Markdown table.
share() { awk -F'|' -v g=" $1 " -v c=" $2 " '$2 == g && $3 == c { print 100 * $4 / $5 }' "$SCRATCH/eval.md"; }
verdict "JSON parses" "$(share json parses)" '>=' 98 %
verdict "tool calls with the right function" "$(share tool_call function)" '>=' 95 %
verdict "tool calls with all arguments right" "$(share tool_call right)" '>=' 90 %
verdict "arithmetic" "$(share arithmetic right)" '>=' 90 %
verdict "four answers about Larder, the right one likeliest" "$(share 'larder choice' right)" '>=' 95 %
first=$("$LARDER" eval "$ROOT/models/demo/suites/json.jsonl" --limit 20 --temp 1 --seed 7 --samples 2 2>/dev/null | md5sum)
again=$("$LARDER" eval "$ROOT/models/demo/suites/json.jsonl" --limit 20 --temp 1 --seed 7 --samples 2 --threads 1 2>/dev/null | md5sum)
verdict "sampled answers with one seed, differing tables" "$([[ $first == "$again" ]] && echo 0 || echo 1)" == 0
finish
