#!/usr/bin/env bash
# A tiny model quantized by a llama.cpp-family quantizer (Q4_K_M mix, split in 3 parts, with a nextn
# block) loads, and its logits match that engine's: mean KL below 1e-3.
# speed: fast
. "$(dirname "$0")/lib.sh"
gtest_figures golden_test '*Foreign*'
finish
