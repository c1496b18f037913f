#!/usr/bin/env bash
# The demo model: at most 16 MiB; `make run`'s three questions get right answers, one of them a valid tool
# call, at a hit rate between 20 and 95 %; two runs with one seed, and budgets from the smallest to everything,
# give the same text; it is found without -m.
# speed: fast
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
MODEL=$ROOT/models/demo/larder-demo.gguf
[[ -f "$MODEL" ]] || { fail "$MODEL is not there"; finish; }
verdict "size of the demo model" "$(stat -c %s "$MODEL")" "<=" $((16 << 20)) bytes

transcript=$SCRATCH/run-demo.txt
if "$ROOT/scripts/run-demo" "$LARDER" >"$transcript"; then
  pass "scripts/run-demo ends well"
else
  fail "scripts/run-demo: $(tail -n 1 "$transcript")"
fi
for answer in "17 + 25 = 42" \
    "The hit rate is the share of requested experts that were already in memory."; do
  if grep -q -x -F "$answer" "$transcript"; then pass "make run answers: $answer"; else fail "make run does not answer: $answer"; fi
done
call=$(sed -n '/^<tool_call>$/,/^<\/tool_call>$/p' "$transcript" | tr '\n' ' ')
wanted="<tool_call> <function=convert_currency> <parameter=amount> 250 </parameter> <parameter=from> EUR </parameter> <parameter=to> USD </parameter> </function> </tool_call> "
if [[ "$call" == "$wanted" ]]; then pass "make run's tool call: $call"; else fail "make run's tool call: $call (bar: $wanted)"; fi
n_rates=0
for rate in $(grep -o 'answer .*hits [0-9.]* %' "$transcript" | sed 's/.*hits //; s/ %//'); do
  verdict "hit rate of an answer, at least" "$rate" ">=" 20 "%"
  verdict "hit rate of an answer, at most" "$rate" "<=" 95 "%"
  n_rates=$((n_rates + 1))
done
verdict "answers with a hit rate" "$n_rates" == 3

# The same text: greedy and sampled, from the smallest budget to everything, and twice.
smallest=$({ "$LARDER" run -m "$MODEL" -p x --memory 1K 2>&1 >/dev/null || true; } \
  | sed -n 's/.*--memory \([0-9]*[KMG]\)\b.*/\1/p' | tail -1)
[[ -n "$smallest" ]] || { fail "no smallest budget named for $MODEL"; finish; }
base=$(numfmt --from=iec "$smallest")
n_different=0 n_runs=0
for sampling in "--temp 0" "--temp 1.5 --seed 7"; do
  reference=""
  for extra in 0 $((1 << 20)) $((3 << 20)) $((64 << 20)) $((64 << 20)); do
    # shellcheck disable=SC2086
    text=$("$LARDER" run -m "$MODEL" -p "What is an expert?" -n 48 $sampling --memory $((base + extra)) 2>/dev/null) \
      || text="failed at $extra"
    [[ -n "$reference" ]] || reference=$text
    [[ "$text" == "$reference" && -n "$text" ]] || n_different=$((n_different + 1))
    n_runs=$((n_runs + 1))
  done
done
verdict "texts of $n_runs runs that differ between budgets or runs" "$n_different" == 0
if "$LARDER" run -p "What is 2 + 3?" --temp 0 -n 16 2>/dev/null | grep -q -x -F "2 + 3 = 5"; then
  pass "without -m the demo model answers"
else
  fail "without -m the demo model does not answer"
fi
finish
