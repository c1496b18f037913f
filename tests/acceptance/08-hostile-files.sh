#!/usr/bin/env bash
# 10,000 mutated and every-header-byte-truncated GGUF files: clean error or success, 0 crashes. Under
# ASan and UBSan where .ci/run has made that build, else in the plain one, and it says which.
# speed: fast
. "$(dirname "$0")/lib.sh"
if [[ -x "$BUILD/clang-asan/gguf_mutation_test" ]]; then
  BUILD=$BUILD/clang-asan
  echo "with ASan and UBSan"
else
  echo "without sanitizers (.ci/run makes that build)"
fi
gtest_figures gguf_mutation_test '*'
finish
