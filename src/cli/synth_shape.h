// Random models of real shapes: their sizes, tensors and metadata. Plain data, pure functions.
// Source of the shapes: the published configurations of the models.
#pragma once

#include <string>
#include <vector>

#include "base/status.h"
#include "format/gguf_writer.h"
#include "format/metadata.h"

namespace larder {

struct SynthShape {
  std::string name;
  std::int64_t n_layers = 0;
  std::int64_t d_model = 0;
  std::int64_t n_experts = 0;
  std::int64_t n_used = 0;
  std::int64_t d_expert = 0;
  std::int64_t n_heads = 0;
  std::int64_t n_kv_heads = 2;
  std::int64_t head_dim = 256;
  std::int64_t n_key_heads = 16;
  std::int64_t n_value_heads = 0;
  std::int64_t d_state = 128;
  std::int64_t conv_width = 4;
  std::int64_t n_vocab = 248320;
  std::int64_t context_length = 262144;
  std::int64_t d_shared = 0;  // of the shared expert; 0: d_expert
  bool tied_output = false;   // the output matrix is the embedding
};

/// kInvalidArgument lists the names there are.
Result<SynthShape> FindSynthShape(const std::string& name);

enum class SynthValues {
  kNormal,     // mean 0
  kAroundOne,  // norms: 1 and a little
  kDecay,      // ssm_a = -exp(A_log), from slow to fast
};

struct SynthTensor {
  GgufWriter::TensorDeclaration declaration;
  SynthValues values = SynthValues::kNormal;
  float deviation = 1;
};

/// All tensors in file order. Matrices have deviation 1 / sqrt(inputs), so that a layer's output is
/// about as large as its input and the residual stream neither dies out nor runs away.
std::vector<SynthTensor> SynthTensors(const SynthShape& shape, DType experts, DType dense);

/// Metadata under the keys that real files have, without the tokenizer's.
Metadata SynthMetadata(const SynthShape& shape);

/// Adds a made-up byte-level vocabulary of `n_vocab` tokens with the real control tokens.
void AddSynthVocabulary(std::int64_t n_vocab, Metadata* metadata);

}  // namespace larder
