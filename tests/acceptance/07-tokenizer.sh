#!/usr/bin/env bash
# Tokens equal the reference's for every vocabulary in the test data, text by text, through the command
# line, and those of the libraries that trained the stored vocabularies; where the data has texts and ids
# without their vocabulary, the ids can be read as the words that the texts are cut into; splits equal
# Hugging Face tokenizers' on 100,000 strings for each scheme; time is linear. A million strings against
# the libraries themselves (Python, tools/requirements.txt) with COMPARE=1.
# speed: fast
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
data=$TESTDATA/tokenizers

# cpu_seconds COMMAND...: its user and system time, which other processes change little.
cpu_seconds() {
  local TIMEFORMAT='%U %S'
  { time "$@" >/dev/null 2>&1; } 2>&1 | awk '{ print $1 + $2 }'
}

compare_files() {
  local name=$1 vocab=$data/ggml-vocab-$1.gguf work=$SCRATCH/tokenizer-$1
  rm -rf "$work"
  mkdir -p "$work"
  # One file per text; the separator line belongs to none, nor does the line break before it.
  awk -v RS='\n__ggml_vocab_test__\n' -v dir="$work" \
    '{ file = sprintf("%s/%04d.txt", dir, NR); printf "%s", $0 > file; close(file) }' "$vocab.inp"
  local n=0 n_wrong=0 first_wrong="" want got text
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
}

# Best of three, without the time to read the vocabulary.
seconds_to_encode() {
  local vocab=$1 file=$2 best=""
  for _ in 1 2 3; do
    local base whole
    base=$(cpu_seconds "$LARDER" tokenize -m "$vocab" x)
    whole=$(cpu_seconds "$LARDER" tokenize -m "$vocab" - <"$file")
    best=$(awk -v a="$whole" -v b="$base" -v best="$best" \
      'BEGIN { t = a - b; if (t < 0.001) t = 0.001; print (best == "" || t < best) ? t : best }')
  done
  echo "$best"
}

if [[ -d "$data" ]]; then
  head -c 1000000 /dev/zero | tr '\0' a >"$SCRATCH/one-letter.txt"
  find "$ROOT/src" "$ROOT/docs" "$ROOT/tests" -name '*.cc' -o -name '*.h' -o -name '*.md' | sort \
    | xargs cat >"$SCRATCH/text.txt"
  n_compared=0
  for texts in "$data"/ggml-vocab-*.gguf.inp; do
    name=$(basename "$texts" .gguf.inp)
    name=${name#ggml-vocab-}
    if [[ ! -f "${texts%.inp}" ]]; then
      skip "$name: the test data has no vocabulary for its .out file; only the words are checked"
      continue
    fi
    n_compared=$((n_compared + 1))
    compare_files "$name"
    vocab=$data/ggml-vocab-$name.gguf
    verdict "$name: a line of 1 MB of one letter" \
      "$(seconds_to_encode "$vocab" "$SCRATCH/one-letter.txt")" "<" 1 "CPU seconds"
    rate=$(awk -v n="$(stat -c %s "$SCRATCH/text.txt")" \
      -v t="$(seconds_to_encode "$vocab" "$SCRATCH/text.txt")" 'BEGIN { printf "%.1f", n / 1e6 / t }')
    verdict "$name: this repository's own text" "$rate" ">=" 5 "MB/s of CPU time"
  done
  verdict "vocabularies of the test data whose tokens are compared" "$n_compared" ">=" 3
  gtest_figures tokenizer_fit_test '*'
else
  skip "tokenizer vocabularies: $data is not here"
fi
gtest_figures tokenizer_golden_test 'Names/*'
if [[ -n "${COMPARE:-}" ]]; then
  cmake --build "$BUILD" --target encode_strings >/dev/null
  sum=$(python3 "$ROOT/tools/golden/compare_tokenizers.py" "$BUILD/encode_strings" -n 1000000 \
    | tee -a /dev/stderr | sed -n 's/^mismatches \([0-9]*\) of .*/\1/p') || true
  verdict "random strings of 1,000,000 with other tokens than the libraries'" "$sum" == 0
fi
finish
