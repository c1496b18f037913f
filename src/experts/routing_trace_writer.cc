// Lines of a routing trace.
#include "experts/routing_trace_writer.h"

#include <fmt/format.h>

#include <iterator>

#include "base/check.h"

namespace larder {

Result<std::unique_ptr<RoutingTraceWriter>> RoutingTraceWriter::Create(
    const std::string& path, const RoutingTraceShape& shape) {
  LARDER_ASSIGN_OR_RETURN(std::unique_ptr<TextFileWriter> file, TextFileWriter::Create(path));
  std::unique_ptr<RoutingTraceWriter> writer(new RoutingTraceWriter(std::move(file), shape));
  LARDER_RETURN_IF_ERROR(writer->file_->Write(
      fmt::format("# larder routing trace v1 n_layer={} n_expert={} n_expert_used={}\n"
                  "step,layer,slot,expert,weight,resident,phase\n",
                  shape.n_layers, shape.n_experts, shape.n_used)));
  return writer;
}

void RoutingTraceWriter::AddStep(std::int64_t step, bool is_answer,
                                 std::span<const RoutingTraceEntry> entries) {
  const auto n_used = static_cast<std::size_t>(shape_.n_used);
  LARDER_CHECK(entries.size() == static_cast<std::size_t>(shape_.n_layers) * n_used);
  fmt::memory_buffer text;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const RoutingTraceEntry& entry = entries[i];
    fmt::format_to(std::back_inserter(text), "{},{},{},{},{:.6g},{},{}\n", step, i / n_used,
                   i % n_used, entry.expert, entry.weight, entry.is_resident ? 1 : 0,
                   is_answer ? 1 : 0);
  }
  if (status_.ok()) status_ = file_->Write({text.data(), text.size()});
}

Status RoutingTraceWriter::Finish() {
  LARDER_RETURN_IF_ERROR(status_);
  return file_->Finish();
}

}  // namespace larder
