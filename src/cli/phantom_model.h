// PhantomModel: a model file of headers alone, in memory. The header is a real one, the weights
// behind it are a hole of the right length, so that everything that looks at headers (the memory
// plan above all) sees the file that would be downloaded. Owns the memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "cli/quantize_plan.h"
#include "cli/synth_shape.h"
#include "format/gguf_reader.h"
#include "format/gguf_writer.h"

namespace larder {

class PhantomModel {
 public:
  /// A model of the shape with the types of `larder quantize`. Metadata as `larder synth` makes it.
  static Result<PhantomModel> FromShape(const SynthShape& shape, QuantizeTypes types);
  /// What `larder quantize` would make of a file.
  static Result<PhantomModel> FromFile(const GgufModel& file, QuantizeTypes types);

  PhantomModel(PhantomModel&& other) noexcept;
  PhantomModel& operator=(PhantomModel&&) = delete;
  ~PhantomModel();

  /// Opens like any file while this lives.
  const std::string& path() const { return path_; }
  std::uint64_t size_bytes() const { return size_bytes_; }

 private:
  PhantomModel(int fd, std::uint64_t size_bytes);
  static Result<PhantomModel> Make(const Metadata& metadata,
                                   const std::vector<GgufWriter::TensorDeclaration>& tensors);

  int fd_ = -1;
  std::string path_;
  std::uint64_t size_bytes_ = 0;
};

}  // namespace larder
