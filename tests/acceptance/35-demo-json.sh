#!/usr/bin/env bash
# The demo model with its experts at 2 bits: with a schema 200 of 200 answers parse and validate; the
# share without one stands beside it.
# speed: slow
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
demo=$ROOT/models/demo/larder-demo.gguf
if [[ ! -f $demo ]]; then
  skip "JSON at 2 bits: $demo is not here"
  finish
fi
small=$SCRATCH/demo-q2_k.gguf
rm -f "$small"
"$LARDER" quantize "$demo" "$small" --experts Q2_K --dense Q8_0 2>"$SCRATCH/demo-q2_k.log"
script=$ROOT/tools/schemas/demo_json.py
count() { sed -n 's/^valid \([0-9]*\) of.*/\1/p'; }
free=$(python3 "$script" --larder "$LARDER" --model "$small" --free | count)
held=$(python3 "$script" --larder "$LARDER" --model "$small" | count)
verdict "2-bit answers of 200 that parse and validate with a schema (without one: $free)" "$held" == 200
rm -f "$small"
finish
