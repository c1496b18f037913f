// Products of quantized weights, built in files of their own per instruction set; the kernel tables
// reach them. Same terms as KernelTable::matmul.
#pragma once

#include "kernels/kernel_table.h"

namespace larder {

/// Any quantized type of `task.dtype`; the processor must have the instruction set.
void QuantizedProductAvx2(const MatMulTask& task);
void QuantizedProductAvx512(const MatMulTask& task);

}  // namespace larder
