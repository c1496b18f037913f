#!/usr/bin/env bash
# Schemas hold: cases of our own against the stored verdicts of the jsonschema package, random walks through
# the masks, and how long masks and schemas take with 150,000 tokens. Random schemas too, 20 with 5 walks;
# SCHEMA_WALKS=full: 300 with 100 walks each (Python with jsonschema and hypothesis).
# speed: fast
. "$(dirname "$0")/lib.sh"
bench=$BUILD/schema_bench
need_program "$bench"
gtest_figures sample_test 'JsonSchema.*:TokenConstraint.*:TokenTrie.*'
vocab=$TESTDATA/tokenizers/ggml-vocab-deepseek-llm.gguf
args=()
if [[ -f $vocab ]]; then args=(--vocab "$vocab"); fi
log=$SCRATCH/schema-times.txt
"$bench" time "${args[@]}" >"$log"
figure() { awk -v name="$1" '$1 == name { print $2 }' "$log"; }
verdict "vocabulary" "$(figure vocabulary_tokens)" ">=" 150000 tokens
verdict "first mask" "$(figure first_mask_ms)" "<=" 100 ms
verdict "mask p50" "$(figure mask_p50_ms)" "<=" 0.5 ms
verdict "mask p99" "$(figure mask_p99_ms)" "<=" 5 ms
verdict "50 tools compile" "$(figure compile_50_tools_ms)" "<" 1000 ms
if python3 -c 'import jsonschema, hypothesis' 2>/dev/null; then
  n=20 walks=5
  if [[ "${SCHEMA_WALKS:-}" == full ]]; then n=300 walks=100; fi
  out=$SCRATCH/schema-walks.txt
  python3 "$ROOT/tools/schemas/check_walks.py" --schemas $n --walks $walks --program "$bench" >"$out" || true
  verdict "texts of random walks that do not validate (of $(sed -n 's/^texts \([0-9]*\),.*/\1/p' "$out"))" \
    "$(sed -n 's/^texts .*wrong \([0-9]*\)$/\1/p' "$out")" == 0
else
  skip "random schemas: jsonschema and hypothesis are not installed"
fi
finish
