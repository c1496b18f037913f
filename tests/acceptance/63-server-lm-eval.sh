#!/usr/bin/env bash
# lm-evaluation-harness's local-completions client finishes a small multiple-choice task (made here) against the
# demo model. Needs the package lm_eval (with its API extra) in the Python that LM_EVAL_PYTHON names.
# speed: slow
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
PYTHON=${LM_EVAL_PYTHON:-python3}
"$PYTHON" -c 'import lm_eval, tenacity, aiohttp' 2>/dev/null || { skip "$PYTHON has no lm_eval with its API extra"; finish; }
work=$SCRATCH/lm-eval
rm -rf "$work"
mkdir -p "$work"
for i in $(seq 2 21); do
  printf '{"question": "What is %d + 1?", "right": " %d", "wrong": " %d"}\n' "$i" $((i + 1)) $((i + 40))
done >"$work/sums.jsonl"
cat >"$work/sums.yaml" <<YAML
task: larder_sums
dataset_path: json
dataset_kwargs: {data_files: {test: $work/sums.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_target: 0
doc_to_choice: "{{[right, wrong]}}"
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
YAML
"$LARDER" serve -m "$ROOT/models/demo/larder-demo.gguf" --port 0 2>"$work/serve.log" &
pid=$!
trap 'kill "$pid" 2>/dev/null || true' EXIT
for _ in $(seq 300); do grep -q ready "$work/serve.log" && break; sleep 0.1; done
url=$(sed -n 's/.*listening on \(http[^ ]*\).*/\1/p' "$work/serve.log")
if HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 "$PYTHON" -m lm_eval --model local-completions --tasks larder_sums \
    --include_path "$work" --output_path "$work/out" \
    --model_args "model=larder-demo,base_url=$url/v1/completions,tokenizer_backend=remote" \
    >"$work/lm_eval.log" 2>&1; then
  pass "lm_eval finishes"
else
  fail "lm_eval: $(tail -n 3 "$work/lm_eval.log" | tr '\n' ' ')"
fi
accuracy=$(cat "$work"/out/*/*.json 2>/dev/null | grep -o '"acc,none": [0-9.]*' | head -1 | sed 's/.*: //' || true)
verdict "accuracy of the sums" "$accuracy" ">=" 0.5
finish
