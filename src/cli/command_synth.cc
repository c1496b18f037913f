// larder synth: a random model of a real shape, so that speed can be measured without the weights.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>

#include "base/clock.h"
#include "base/size.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/quantize_plan.h"
#include "cli/random_blocks.h"
#include "cli/synth_shape.h"
#include "format/gguf_writer.h"
#include "tensor/codec.h"

namespace larder {

namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;
constexpr std::size_t kPiecesAtOnce = 16;

struct SynthFlags {
  std::string shape;
  std::string output;
  std::string experts_type = "Q4_K";
  std::string dense_type = "Q8_0";
  std::int64_t n_layers = 0;
  std::uint64_t seed = 1;
  int n_threads = 0;
};

std::uint64_t SizeBytes(const GgufWriter::TensorDeclaration& tensor) {
  std::uint64_t size_bytes = RowBytes(tensor.dtype, tensor.dims[0]);
  for (std::size_t i = 1; i < tensor.dims.size(); ++i) {
    size_bytes *= static_cast<std::uint64_t>(tensor.dims[i]);
  }
  return size_bytes;
}

// Writes tensors one after the other; pieces of one are made by all threads. A piece's contents
// depend on the seed, the tensor and the piece alone.
class ModelMaker {
 public:
  ModelMaker(std::uint64_t seed, ThreadPool* pool, GgufWriter* writer)
      : seed_(seed), pool_(pool), writer_(writer) {}

  template <typename Progress>
  Status Write(const SynthTensor& tensor, const Progress& on_progress) {
    ++n_tensors_;
    if (tensor.values != SynthValues::kNormal) return WriteVector(tensor);
    const RandomBlocks& blocks = BlocksFor(tensor.declaration.dtype, tensor.deviation);
    const auto block_bytes =
        static_cast<std::size_t>(GetDTypeInfo(tensor.declaration.dtype).bytes_per_block);
    const std::size_t piece_bytes = kPieceBytes / block_bytes * block_bytes;
    const std::uint64_t total_bytes = SizeBytes(tensor.declaration);
    buffer_.resize(piece_bytes * kPiecesAtOnce);
    for (std::uint64_t at = 0; at < total_bytes; at += buffer_.size()) {
      const auto n_bytes =
          static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size(), total_bytes - at));
      const std::size_t n_pieces = (n_bytes + piece_bytes - 1) / piece_bytes;
      pool_->ParallelFor(n_pieces, 1, [&](std::size_t begin, std::size_t end, int) {
        for (std::size_t piece = begin; piece < end; ++piece) {
          SplitMix64 random = RandomFor(at / piece_bytes + piece);
          const std::size_t first = piece * piece_bytes;
          const std::size_t size = std::min(piece_bytes, n_bytes - first);
          blocks.Fill(&random, std::span(buffer_).subspan(first, size));
        }
      });
      LARDER_RETURN_IF_ERROR(writer_->Write(std::span(buffer_).first(n_bytes)));
      if (!on_progress(n_bytes)) return Cancelled("stopped");
    }
    return Status::Ok();
  }

 private:
  SplitMix64 RandomFor(std::uint64_t piece) const {
    // Two rounds of mixing keep the streams of neighbouring pieces apart.
    SplitMix64 mixed(seed_ ^ (static_cast<std::uint64_t>(n_tensors_) << 40) ^ piece);
    return SplitMix64(mixed.Next());
  }

  const RandomBlocks& BlocksFor(DType dtype, float deviation) {
    std::unique_ptr<RandomBlocks>& blocks = blocks_[{dtype, deviation}];
    if (blocks == nullptr) blocks = std::make_unique<RandomBlocks>(dtype, deviation, seed_);
    return *blocks;
  }

  // The few small float vectors that are not centred at 0.
  Status WriteVector(const SynthTensor& tensor) {
    LARDER_CHECK(tensor.declaration.dtype == DType::kF32);
    SplitMix64 random = RandomFor(0);
    std::vector<float> values(SizeBytes(tensor.declaration) / sizeof(float));
    for (float& value : values) {
      if (tensor.values == SynthValues::kAroundOne) {
        value = 1 + tensor.deviation * NextNormal(&random);
      } else {
        value = -static_cast<float>(std::exp(random.NextUnit() * 6 - 4.5));
      }
    }
    return writer_->Write(std::as_bytes(std::span(values)));
  }

  std::uint64_t seed_;
  ThreadPool* pool_;
  GgufWriter* writer_;
  std::map<std::pair<DType, float>, std::unique_ptr<RandomBlocks>> blocks_;
  std::vector<std::byte> buffer_;
  int n_tensors_ = 0;
};

Status CheckBlocks(const std::vector<SynthTensor>& tensors) {
  for (const SynthTensor& tensor : tensors) {
    const DTypeInfo& info = GetDTypeInfo(tensor.declaration.dtype);
    if (tensor.declaration.dims[0] % info.elements_per_block == 0) continue;
    return InvalidArgument("rows of {} in {} are no multiple of the {} elements of a {} block",
                           tensor.declaration.dims[0], tensor.declaration.name,
                           info.elements_per_block, info.name);
  }
  return Status::Ok();
}

Status Synth(const SynthFlags& flags) {
  LARDER_ASSIGN_OR_RETURN(SynthShape shape, FindSynthShape(flags.shape));
  LARDER_RETURN_IF_ERROR(CheckAtLeast("--layers", flags.n_layers, 0));
  LARDER_RETURN_IF_ERROR(CheckAtLeast("--threads", flags.n_threads, 0));
  if (flags.n_layers > shape.n_layers) {
    return InvalidArgument("--layers {} is more than the {} of {}", flags.n_layers, shape.n_layers,
                           shape.name);
  }
  if (flags.n_layers > 0) shape.n_layers = flags.n_layers;
  LARDER_ASSIGN_OR_RETURN(const DType experts,
                          ParseWritableType("--experts-type", flags.experts_type));
  LARDER_ASSIGN_OR_RETURN(const DType dense, ParseWritableType("--dense-type", flags.dense_type));
  const std::vector<SynthTensor> tensors = SynthTensors(shape, experts, dense);
  LARDER_RETURN_IF_ERROR(CheckBlocks(tensors));
  Metadata metadata = SynthMetadata(shape);
  AddSynthVocabulary(shape.n_vocab, &metadata);
  std::vector<GgufWriter::TensorDeclaration> declarations;
  std::uint64_t total_bytes = 0;
  for (const SynthTensor& tensor : tensors) {
    declarations.push_back(tensor.declaration);
    total_bytes += SizeBytes(tensor.declaration);
  }
  const std::int64_t start_us = NowUs();
  InterruptScope interrupt;
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<GgufWriter> writer,
                          GgufWriter::Create(flags.output, metadata, declarations));
  ThreadPool pool(flags.n_threads > 0 ? flags.n_threads : UsableCpuCount());
  ModelMaker maker(flags.seed, &pool, writer.get());
  ProgressLine progress("writing", ProgressLine::Unit::kBytes);
  std::uint64_t done_bytes = 0;
  for (const SynthTensor& tensor : tensors) {
    LARDER_RETURN_IF_ERROR(maker.Write(tensor, [&](std::size_t n_bytes) {
      done_bytes += n_bytes;
      progress.Update(done_bytes, total_bytes);
      return !interrupt.requested();
    }));
  }
  LARDER_RETURN_IF_ERROR(writer->Finish());
  progress.Erase();
  PrintTo(stderr, "larder: wrote {} ({} of random weights, {} experts, {} dense) in {}\n",
          flags.output, FormatBytes(total_bytes), flags.experts_type, flags.dense_type,
          FormatDuration(SecondsSince(start_us)));
  return Status::Ok();
}

}  // namespace

int SynthMain(const Arguments& arguments) {
  CommandLine line("synth",
                   "Writes a random model of a real shape. Its answers mean nothing; its speed is "
                   "that of the real one.",
                   "  larder synth --shape qwen3.5-35b-a3b -o big.gguf\n"
                   "  larder synth --shape qwen3.5-397b-a17b --layers 4 -o slice.gguf\n");
  SynthFlags flags;
  line.app()
      .add_option("--shape", flags.shape, "qwen3.5-35b-a3b, qwen3.5-122b-a10b or qwen3.5-397b-a17b")
      ->type_name("NAME");
  line.app()
      .add_option("--layers", flags.n_layers, "only the first N layers")
      ->type_name("N")
      ->check(WholeNumber(1));
  line.app().add_option("--experts-type", flags.experts_type, "Q4_K by default")->type_name("TYPE");
  line.app().add_option("--dense-type", flags.dense_type, "Q8_0 by default")->type_name("TYPE");
  line.app()
      .add_option("--seed", flags.seed, "the same seed gives the same file")
      ->type_name("N")
      ->check(WholeNumber(0));
  line.app()
      .add_option("--threads", flags.n_threads, "default: the CPUs this process may use")
      ->type_name("N")
      ->check(WholeNumber(1, kMostThreads));
  line.app().add_option("-o,--output", flags.output, "the file to write")->type_name("FILE");
  if (const auto exit_status = line.Parse(arguments)) return *exit_status;
  if (flags.shape.empty() || flags.output.empty()) {
    return Fail(InvalidArgument("synth needs --shape NAME and -o FILE"));
  }
  const Status status = Synth(flags);
  return status.ok() ? kExitSuccess : Fail(status);
}

}  // namespace larder
