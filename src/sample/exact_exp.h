// The exponential as the sampler needs it: the same bits on every platform. A pure function.
#pragma once

namespace larder {

/// e^x for x <= 0 by additions and multiplications alone, so that no C library's last bit changes
/// a draw. Relative error below 1e-15; 0 for x <= -700 and NaN.
double ExactExp(double x);

}  // namespace larder
