#!/usr/bin/env bash
# Perplexity equals transformers' on the golden models in F32, within 0.1 %; a model's table against
# its own saved logits is all zeros, also token by token and with other threads and batches.
# speed: fast
. "$(dirname "$0")/lib.sh"
need_program "$LARDER"
gtest_figures perplexity_test 'Perplexity.*'
finish
