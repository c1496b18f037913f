// The block encoders that live outside encode.cc. `importance` [elements of the block] weighs the
// squared errors, or is null. Only for encode*.cc. Pure functions, any thread.
#pragma once

#include "tensor/blocks.h"

namespace larder {

void EncodeBlock(const float* x, const float* importance, BlockQ4_1* block);
void EncodeBlock(const float* x, const float* importance, BlockQ5_0* block);
void EncodeBlock(const float* x, const float* importance, BlockQ5_1* block);
void EncodeBlock(const float* x, const float* importance, BlockIq4Nl* block);
void EncodeBlock(const float* x, const float* importance, BlockMxfp4* block);
void EncodeBlock(const float* x, const float* importance, BlockQ2K* block);
void EncodeBlock(const float* x, const float* importance, BlockQ3K* block);
void EncodeBlock(const float* x, const float* importance, BlockIq4Xs* block);

}  // namespace larder
