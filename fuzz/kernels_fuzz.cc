// Any bytes as weight blocks and activations: every instruction set gives the scalar kernels' bits,
// in one batch and token by token, whatever the scales (NaN, infinite, subnormal). The first bytes
// choose type and shape; where the input ends, a generator seeded by it goes on. Buffers have their
// exact sizes, so that the address sanitizer sees a read past the last block.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "base/memory.h"
#include "base/random.h"
#include "kernels/kernel_table.h"

namespace {

using larder::ActivationKind;
using larder::DType;
using larder::Isa;
using larder::KernelTable;
using larder::MatMulTask;

class Source {
 public:
  Source(const std::uint8_t* data, std::size_t size)
      : data_(data), size_(size), random_(size * 0x9e3779b97f4a7c15u + (size > 0 ? data[0] : 0)) {}

  std::uint8_t Byte() {
    if (at_ < size_) return data_[at_++];
    return static_cast<std::uint8_t>(random_.Next() >> 32);
  }
  int Below(int n) { return Byte() % n; }

 private:
  const std::uint8_t* data_;
  std::size_t size_;
  std::size_t at_ = 0;
  larder::SplitMix64 random_;
};

struct Case {
  DType dtype;
  std::int64_t n_rows;
  std::int64_t n_cols;
  std::int64_t n_tokens;
  std::unique_ptr<std::byte[]> weights;
  std::vector<float> x;
};

Case MakeCase(Source* source) {
  Case out;
  const auto& types = larder::AllDTypes();
  out.dtype = types[static_cast<std::size_t>(source->Below(static_cast<int>(types.size())))];
  const std::int64_t block = larder::GetDTypeInfo(out.dtype).elements_per_block;
  out.n_rows = 1 + source->Below(37);
  // Floats: past the vectors' loops, and their rest.
  out.n_cols = block * (1 + source->Below(block == 256 ? 3 : block == 1 ? 100 : 13));
  out.n_tokens = 1 + source->Below(9);
  const std::size_t row_bytes = larder::RowBytes(out.dtype, out.n_cols);
  const std::size_t bytes = row_bytes * static_cast<std::size_t>(out.n_rows);
  out.weights = std::make_unique<std::byte[]>(bytes);
  for (std::size_t i = 0; i < bytes; ++i) out.weights[i] = static_cast<std::byte>(source->Byte());
  out.x.resize(static_cast<std::size_t>(out.n_tokens * out.n_cols));
  const bool any_bits = source->Below(4) == 0;
  for (float& value : out.x) {
    std::uint8_t bytes4[4];
    for (std::uint8_t& byte : bytes4) byte = any_bits ? source->Byte() : std::uint8_t{0};
    std::memcpy(&value, bytes4, sizeof(value));
    if (!any_bits) value = static_cast<float>(source->Below(255) - 127) * 0.125f;
  }
  return out;
}

std::vector<float> Multiply(const KernelTable& kernels, const Case& c, std::int64_t batch,
                            std::byte* scratch) {
  const ActivationKind kind = larder::ActivationKindFor(c.dtype);
  const std::size_t stride = larder::ActivationLayout(kind, c.n_cols).total;
  std::vector<std::byte> records(stride * static_cast<std::size_t>(c.n_tokens));
  for (std::int64_t t = 0; t < c.n_tokens; ++t) {
    kernels.quantize(kind, c.x.data() + t * c.n_cols, c.n_cols, 0, c.n_cols,
                     records.data() + static_cast<std::size_t>(t) * stride);
  }
  std::vector<float> out(static_cast<std::size_t>(c.n_tokens * c.n_rows));
  for (std::int64_t first = 0; first < c.n_tokens; first += batch) {
    MatMulTask task;
    task.weights = c.weights.get();
    task.dtype = c.dtype;
    task.n_rows = c.n_rows;
    task.n_cols = c.n_cols;
    task.row_bytes = larder::RowBytes(c.dtype, c.n_cols);
    task.activations = records.data() + static_cast<std::size_t>(first) * stride;
    task.activation_stride = stride;
    task.n_tokens = std::min(batch, c.n_tokens - first);
    task.out = out.data() + first * c.n_rows;
    task.out_stride = c.n_rows;
    task.scratch = scratch;
    kernels.matmul(task);
  }
  return out;
}

// Which NaN comes out depends on the order of operands, which no format promises.
bool Same(const std::vector<float>& a, const std::vector<float>& b) {
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) && std::isnan(b[i])) continue;
    if (std::memcmp(&a[i], &b[i], sizeof(float)) != 0) return false;
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const larder::PageBuffer scratch =
      std::move(larder::PageBuffer::Allocate(larder::kMatMulScratchBytes, false)).value();
  Source source(data, size);
  const Case c = MakeCase(&source);
  const std::vector<float> truth = Multiply(larder::ScalarKernels(), c, c.n_tokens, scratch.data());
  for (Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512}) {
    if (isa > larder::BestIsa()) continue;
    const KernelTable& kernels = larder::GetKernels(isa);
    for (std::int64_t batch : {c.n_tokens, std::int64_t{1}, std::int64_t{2}}) {
      if (!Same(truth, Multiply(kernels, c, batch, scratch.data()))) std::abort();
    }
  }
  return 0;
}
