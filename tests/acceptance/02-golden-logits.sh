#!/usr/bin/env bash
# Golden logits of all tiny models: KL divergence from transformers, top tokens, and sensitivity to
# any one tensor. The comparisons are C++ tests; they print the figures this script holds to bars.
# speed: fast
. "$(dirname "$0")/lib.sh"
gtest_figures golden_test '*'
gtest_figures sensitivity_test '*'
finish
