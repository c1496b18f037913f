#!/usr/bin/env bash
# Perplexity of the demo model's F32 export equals transformers' on the same text and windows (golden figure made by
# tools/demo/perplexity.py); a model's KL divergence from itself is all zeros. The export is too large to ship: DEMO_F32 names it.
# speed: fast
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
demo=$ROOT/models/demo/larder-demo.gguf
golden=$ROOT/tests/golden/demo-perplexity.json
ids=$SCRATCH/demo-text.ids
"$LARDER" tokenize -m "$demo" --parse-special - <"$ROOT/models/demo/suites/text.txt" >"$ids"
if [[ ! -f ${DEMO_F32:-} ]]; then
  skip "perplexity of the F32 export: DEMO_F32 names no file"
elif [[ $(sha256sum "$DEMO_F32" | cut -d' ' -f1) != $(sed -n 's/.*"f32_sha256": "\(.*\)".*/\1/p' "$golden") ]]; then
  skip "perplexity of the F32 export: $DEMO_F32 is not the export that the golden figure was made from"
else
  "$LARDER" perplexity -m "$DEMO_F32" --tokens "@$ids" --json >"$SCRATCH/demo-ppl.json" 2>/dev/null
  ours=$(sed -n '/"perplexity"/,/}/s/.*"value": \([0-9.e+-]*\).*/\1/p' "$SCRATCH/demo-ppl.json" | head -1)
  verdict "perplexity of the F32 export against transformers', difference" \
    "$(awk -v a="$ours" -v b="$(json_number "$golden" perplexity)" 'BEGIN { d = a / b - 1; print 100 * (d < 0 ? -d : d) }')" '<' 0.1 %
  verdict "positions scored less transformers'" "$(($(json_number "$SCRATCH/demo-ppl.json" n_scored) - $(json_number "$golden" n_scored)))" == 0
fi
head -c 6000 "$ids" | sed 's/ [0-9]*$//' >"$ids.short"
"$LARDER" perplexity -m "$demo" --tokens "@$ids.short" --save-logits "$SCRATCH/demo.logits" --json >/dev/null 2>&1
"$LARDER" perplexity -m "$demo" --tokens "@$ids.short" --kl-from "$SCRATCH/demo.logits" --step --threads 1 --json >"$SCRATCH/demo-kl.json" 2>/dev/null
verdict "the shipped model against itself, largest KL divergence" "$(json_number "$SCRATCH/demo-kl.json" kl_maximum)" == 0 nats
rm -f "$SCRATCH/demo.logits"
finish
