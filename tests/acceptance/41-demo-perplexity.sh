#!/usr/bin/env bash
# Perplexity of the demo model in F32 equals transformers' on the same text and windows within 0.1 % (figures by
# tools/demo/perplexity.py): of the shipped file's decoded weights, and of the unquantized weights, whose export is too large to
# ship and named by DEMO_F32. A model's KL divergence from itself is all zeros, token by token too.
# speed: fast
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
demo=$ROOT/models/demo/larder-demo.gguf
golden=$ROOT/tests/golden/demo/perplexity.json
ids=$SCRATCH/demo-text.ids
"$LARDER" tokenize -m "$demo" --parse-special - <"$ROOT/models/demo/suites/text.txt" >"$ids"

checksum() { sed -n "s/.*\"$1\": \"\([0-9a-f]*\)\".*/\1/p" "$golden"; }
sha() { sha256sum "$1" | cut -d' ' -f1; }
# compare NAME MODEL KEY: the model's perplexity beside transformers'.
compare() {
  local ours theirs
  "$LARDER" perplexity -m "$2" --tokens "@$ids" --json >"$SCRATCH/demo-ppl.json" 2>/dev/null
  ours=$(sed -n '/"perplexity"/,/}/s/.*"value": \([0-9.e+-]*\).*/\1/p' "$SCRATCH/demo-ppl.json" | head -1)
  theirs=$(json_number "$golden" "$3")
  verdict "perplexity of $1, $ours, from transformers' $theirs" \
    "$(awk -v a="$ours" -v b="$theirs" 'BEGIN { d = a / b - 1; print 100 * (d < 0 ? -d : d) }')" '<' 0.1 %
  verdict "positions scored less transformers'" \
    "$(($(json_number "$SCRATCH/demo-ppl.json" n_scored) - $(json_number "$golden" n_scored)))" == 0
}
if [[ $(sha "$demo") == "$(checksum shipped_sha256)" ]]; then
  "$LARDER" quantize "$demo" "$SCRATCH/demo-decoded.gguf" --experts F32 --dense F32 >/dev/null 2>&1
  compare "the shipped weights in F32" "$SCRATCH/demo-decoded.gguf" shipped_perplexity
  rm -f "$SCRATCH/demo-decoded.gguf"
else
  fail "the golden figure is of another demo model; tools/demo/perplexity.py makes it again"
fi
if [[ ! -f ${DEMO_F32:-} ]]; then
  skip "perplexity of the unquantized weights: DEMO_F32 names no file"
elif [[ $(sha "$DEMO_F32") != "$(checksum f32_sha256)" ]]; then
  fail "$DEMO_F32 is not the export that the golden figure was made from"
else
  compare "the unquantized weights in F32" "$DEMO_F32" unquantized_perplexity
fi

tr -s ', \n' '\n\n\n' <"$ids" | grep -v '^$' | sed -n '1,600p' | paste -sd, >"$ids.short"
"$LARDER" perplexity -m "$demo" --tokens "@$ids.short" --save-logits "$SCRATCH/demo.logits" --json >/dev/null 2>&1
"$LARDER" perplexity -m "$demo" --tokens "@$ids.short" --kl-from "$SCRATCH/demo.logits" --step --threads 1 --json >"$SCRATCH/demo-kl.json" 2>/dev/null
verdict "the shipped model against itself, largest KL divergence" "$(json_number "$SCRATCH/demo-kl.json" kl_maximum)" == 0 nats
verdict "positions compared" "$(json_number "$SCRATCH/demo-kl.json" n_scored)" == 599
rm -f "$SCRATCH/demo.logits"
finish
