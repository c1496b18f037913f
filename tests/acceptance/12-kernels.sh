#!/usr/bin/env bash
# Every product, type and instruction set: the same bits as the scalar kernels at awkward and random
# shapes and in every batch, and close to a product in double precision by a computed tolerance; the
# latter once more with each instruction set forced.
# speed: fast
. "$(dirname "$0")/lib.sh"
gtest_figures kernels_test '*SameBits*:Quantize*'
for isa in scalar avx2 avx512; do
  if [[ $isa == avx2 ]] && ! grep -qw avx2 /proc/cpuinfo; then skip "this processor lacks $isa"; continue; fi
  if [[ $isa == avx512 ]] && ! grep -qw avx512_vnni /proc/cpuinfo; then skip "this processor lacks $isa"; continue; fi
  export LARDER_ISA=$isa
  echo "LARDER_ISA=$isa:"
  gtest_figures kernels_test '*CloseToADoubleProduct*:*ErrorHasTheSizeOfRounding*'
done
finish
