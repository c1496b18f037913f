#!/usr/bin/env bash
# Exactness: three tiny models, a prompt of 120 tokens, 5 budgets x threads 1, 2, 4 x batch 1, 7, 64
# x both readers: the logits differ in 0 bits. Compared from outside, by the hash of the output file.
# speed: fast
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
MODELS_DIR=${MODELS_DIR:-$ROOT/tests/golden/models}
models=()
for name in stream-q8_0 stream-fused-q4_0 wide-q4_k; do
  [[ -f "$MODELS_DIR/$name.gguf" ]] || { fail "$MODELS_DIR/$name.gguf is not there"; finish; }
  models+=("$MODELS_DIR/$name.gguf")
done
tokens=$(seq 1 120 | awk '{ printf "%s%d", (NR > 1 ? "," : ""), ($1 * 7919) % 251 }')
readers=(threads)
"$LARDER" logits -m "${models[0]}" --tokens 1 --io uring --npy "$SCRATCH/probe.npy" >/dev/null 2>&1 \
  && readers+=(uring) || skip "exactness with io_uring: the kernel refuses it here"

n_runs=0
for model in "${models[@]}"; do
  # Of the widest setting, so that every setting fits.
  smallest=$(smallest_budget "$model" --tokens "$tokens" --threads 4 --batch 64 --io uring || true)
  [[ -n "$smallest" ]] || { fail "$(basename "$model"): no smallest budget named"; continue; }
  base=$(numfmt --from=iec "$smallest")
  reference="" n_different=0 n_here=0
  for extra_percent in 0 5 20 50 400; do
    budget=$((base + base * extra_percent / 100))
    for threads in 1 2 4; do
      for batch in 1 7 64; do
        for reader in "${readers[@]}"; do
          out=$SCRATCH/exact.npy
          rm -f "$out"
          "$LARDER" logits -m "$model" --tokens "$tokens" --memory "$budget" --threads "$threads" \
            --batch "$batch" --io "$reader" --npy "$out" >/dev/null \
            || { fail "$(basename "$model"): --memory $budget --threads $threads --batch $batch --io $reader"; finish; }
          hash=$(sha256sum <"$out")
          [[ -n "$reference" ]] || reference=$hash
          [[ "$hash" == "$reference" ]] || n_different=$((n_different + 1))
          n_here=$((n_here + 1))
        done
      done
    done
  done
  n_runs=$((n_runs + n_here))
  verdict "$(basename "$model"): outputs of $n_here runs that differ" "$n_different" == 0
done
gtest_figures exactness_test '*'
finish
