// decode_blocks TYPE: raw blocks on standard input to float32 on standard output, so that
// tools/golden/compare_decoders.py can hold the decoders to the `gguf` package's. One thread.
#include <cstdio>
#include <vector>

#include "tensor/codec.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: decode_blocks TYPE < blocks > floats\n");
    return 2;
  }
  const larder::Result<larder::DType> dtype = larder::DTypeFromName(argv[1]);
  if (!dtype.ok()) {
    std::fprintf(stderr, "%s\n", dtype.status().message().c_str());
    return 2;
  }
  const larder::DTypeInfo& info = larder::GetDTypeInfo(*dtype);
  std::vector<std::byte> block(static_cast<std::size_t>(info.bytes_per_block));
  std::vector<float> values(static_cast<std::size_t>(info.elements_per_block));
  while (std::fread(block.data(), 1, block.size(), stdin) == block.size()) {
    larder::DecodeRow(*dtype, block.data(), values.data(), info.elements_per_block);
    if (std::fwrite(values.data(), sizeof(float), values.size(), stdout) != values.size()) return 1;
  }
  return 0;
}
