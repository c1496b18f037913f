// larder quantize: a model with other weight types, tensor by tensor in constant memory.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <set>

#include "base/size.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/importance.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/progress.h"
#include "cli/quantize_plan.h"
#include "cli/quantize_tensor.h"
#include "format/gguf_reader.h"
#include "tensor/codec.h"

namespace larder {

namespace {

struct QuantizeFlags {
  std::string input;
  std::string output;
  std::string experts;
  std::string dense;
  std::string importance;
  int n_threads = 0;
};

Status CheckPaths(const GgufModel& model, const std::string& output) {
  std::error_code error;
  for (int i = 0; i < model.tensors.n_files(); ++i) {
    if (std::filesystem::equivalent(model.tensors.file(i).path(), output, error)) {
      return InvalidArgument("the output {} is the input; write to another file", output);
    }
  }
  return CheckOutputPath(output);
}

// Says once, not per tensor, what a reader may not expect.
void PrintNotes(const std::vector<TensorPlan>& plans) {
  std::set<std::string> requantized;
  std::map<std::string, int> fallbacks;
  for (const TensorPlan& plan : plans) {
    if (plan.fell_back) {
      ++fallbacks[fmt::format("{} (rows of {})", DTypeName(plan.target), plan.source->dims[0])];
    }
    const bool is_quantized = GetDTypeInfo(plan.source->dtype).elements_per_block > 1;
    if (is_quantized && !plan.copies()) requantized.emplace(DTypeName(plan.source->dtype));
  }
  for (const auto& [what, n_tensors] : fallbacks) {
    PrintTo(stderr,
            "larder: {} tensor{} become{} {}: the row length is no multiple of the "
            "block that was asked for\n",
            n_tensors, n_tensors == 1 ? "" : "s", n_tensors == 1 ? "s" : "", what);
  }
  if (!requantized.empty()) {
    PrintTo(stderr,
            "larder: the input is quantized already ({}); quantizing it again loses more than "
            "quantizing the original\n",
            fmt::join(requantized, ", "));
  }
}

Status ConvertAll(const GgufModel& model, const std::vector<TensorPlan>& plans, GgufWriter* writer,
                  const ImportanceTable* importance, int n_threads) {
  InterruptScope interrupt;
  ThreadPool pool(n_threads > 0 ? n_threads : UsableCpuCount());
  TensorConverter converter(&model.tensors, writer, &pool, importance);
  ProgressLine progress("quantizing", ProgressLine::Unit::kBytes);
  const std::uint64_t total_bytes = model.tensors.total_tensor_bytes();
  std::uint64_t done_bytes = 0;
  for (const TensorPlan& plan : plans) {
    LARDER_RETURN_IF_ERROR(converter.Convert(plan, [&](std::uint64_t tensor_bytes) {
      progress.Update(done_bytes + tensor_bytes, total_bytes);
      return !interrupt.requested();
    }));
    done_bytes += plan.source->size_bytes;
  }
  return writer->Finish();
}

Status Quantize(const QuantizeFlags& flags) {
  QuantizeTypes types;
  LARDER_ASSIGN_OR_RETURN(types.experts, ParseWritableType("--experts", flags.experts));
  LARDER_ASSIGN_OR_RETURN(types.dense, ParseWritableType("--dense", flags.dense));
  LARDER_ASSIGN_OR_RETURN(const GgufModel model, OpenGguf(flags.input));
  LARDER_RETURN_IF_ERROR(CheckPaths(model, flags.output));
  std::optional<ImportanceTable> importance;
  if (!flags.importance.empty()) {
    LARDER_ASSIGN_OR_RETURN(importance, ImportanceTable::Load(flags.importance));
  }
  const std::vector<TensorPlan> plans = PlanQuantization(model.tensors, types);
  if (plans.empty()) return DataError("{} has no tensors to quantize", flags.input);
  PrintNotes(plans);
  std::vector<GgufWriter::TensorDeclaration> declarations;
  std::uint64_t target_bytes = 0;
  for (const TensorPlan& plan : plans) {
    const TensorInfo& source = *plan.source;
    declarations.push_back(
        {source.name, plan.target, {source.dims.begin(), source.dims.begin() + source.n_dims}});
    target_bytes += RowBytes(plan.target, source.dims[0]) *
                    static_cast<std::uint64_t>(source.n_elements() / source.dims[0]);
  }
  LARDER_ASSIGN_OR_RETURN(
      const std::unique_ptr<GgufWriter> writer,
      GgufWriter::Create(flags.output, QuantizedMetadata(model.metadata, types), declarations));
  LARDER_RETURN_IF_ERROR(
      ConvertAll(model, plans, writer.get(), importance ? &*importance : nullptr, flags.n_threads));
  PrintTo(stderr, "larder: {} of weights became {} in {}\n",
          FormatBytes(model.tensors.total_tensor_bytes()), FormatBytes(target_bytes), flags.output);
  return Status::Ok();
}

}  // namespace

int QuantizeMain(const Arguments& arguments) {
  CommandLine line("quantize",
                   "Writes a model with other weight types. Vectors, norms, routers and the small "
                   "tensors of linear attention stay as they are.",
                   "  larder quantize model-f16.gguf model-q4.gguf --experts Q4_K --dense Q8_0\n"
                   "  larder quantize big-00001-of-00009.gguf big-q8.gguf --experts Q8_0 --dense "
                   "Q8_0\n"
                   "  larder quantize model-f16.gguf model-q2.gguf --experts Q2_K --dense Q6_K "
                   "--importance imatrix.gguf\n");
  QuantizeFlags flags;
  line.app()
      .add_option("input", flags.input, "GGUF file, the first part of a split one")
      ->type_name("IN");
  line.app().add_option("output", flags.output, "the file to write")->type_name("OUT");
  line.app()
      .add_option("--experts", flags.experts, "type of the experts, such as Q4_K")
      ->type_name("TYPE");
  line.app()
      .add_option("--dense", flags.dense, "type of all other matrices, such as Q8_0")
      ->type_name("TYPE");
  line.app()
      .add_option("--importance", flags.importance,
                  "importance matrix (GGUF): columns that met larger activations round better")
      ->type_name("FILE");
  line.app()
      .add_option("--threads", flags.n_threads, "default: the CPUs this process may use")
      ->type_name("N")
      ->check(WholeNumber(1, kMostThreads));
  if (const auto exit_status = line.Parse(arguments)) return *exit_status;
  if (flags.input.empty() || flags.output.empty()) {
    return Fail(InvalidArgument("quantize needs an input and an output file"));
  }
  if (flags.experts.empty() || flags.dense.empty()) {
    return Fail(
        InvalidArgument("quantize needs --experts TYPE and --dense TYPE, such as "
                        "--experts Q4_K --dense Q8_0"));
  }
  const Status checked = CheckAtLeast("--threads", flags.n_threads, 0);
  if (!checked.ok()) return Fail(checked);
  const Status status = Quantize(flags);
  return status.ok() ? kExitSuccess : Fail(status);
}

}  // namespace larder
