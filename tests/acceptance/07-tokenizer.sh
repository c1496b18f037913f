#!/usr/bin/env bash
# Tokens equal the reference's for the vocabularies of gpt-2 and deepseek-llm, text by text, through
# the command line; the pre-token splits of qwen2 and qwen35 are C++ tests of src/text.
# speed: fast
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
data=$TESTDATA/tokenizers
if [[ ! -d "$data" ]]; then
  skip "tokenizer vocabularies: $data is not here"
  finish
fi
for name in gpt-2 deepseek-llm; do
  vocab=$data/ggml-vocab-$name.gguf
  work=$SCRATCH/tokenizer-$name
  rm -rf "$work"
  mkdir -p "$work"
  # One file per text; the separator line belongs to none, nor does the line break before it.
  awk -v RS='\n__ggml_vocab_test__\n' -v dir="$work" \
    '{ file = sprintf("%s/%04d.txt", dir, NR); printf "%s", $0 > file; close(file) }' "$vocab.inp"
  n=0 n_wrong=0 first_wrong=""
  while IFS= read -r want; do
    n=$((n + 1))
    text=$(printf '%s/%04d.txt' "$work" "$n")
    got=$("$LARDER" tokenize -m "$vocab" - <"$text" 2>/dev/null || echo failed)
    if [[ "$(echo $got)" != "$(echo $want)" ]]; then
      n_wrong=$((n_wrong + 1))
      [[ -n "$first_wrong" ]] || first_wrong=", first $text"
    fi
  done <"$vocab.out"
  verdict "$name: texts of $n with other tokens$first_wrong" "$n_wrong" == 0
done
finish
