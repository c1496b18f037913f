// larder inspect: a model file from its headers alone. Reads no weights.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <memory>
#include <set>

#include "base/size.h"
#include "cli/command.h"
#include "cli/demo_model.h"
#include "cli/output.h"
#include "cli/timing.h"
#include "engine/engine.h"
#include "format/gguf_reader.h"
#include "models/model.h"

namespace larder {

namespace {

enum class Place { kMemory, kStreams, kUnused };

const char* PlaceName(Place place) {
  switch (place) {
    case Place::kMemory:
      return "memory";
    case Place::kStreams:
      return "streams";
    case Place::kUnused:
      return "unused";
  }
  return "";
}

bool Contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

// The part of the model that a tensor belongs to, by its GGUF name.
std::string GroupOf(const std::string& name) {
  if (Contains(name, "nextn.")) return "multi-token prediction";
  if (Contains(name, "_exps.")) return "experts";
  if (Contains(name, "_shexp.")) return "shared expert";
  if (Contains(name, "ffn_gate_inp")) return "router";
  if (name == "token_embd.weight") return "embedding";
  if (name == "output.weight") return "output matrix";
  if (Contains(name, "_norm.")) return "norms";
  if (Contains(name, ".ssm_") || Contains(name, ".attn_qkv.") || Contains(name, ".attn_gate.")) {
    return "linear attention";
  }
  if (Contains(name, ".attn_")) return "attention";
  if (Contains(name, ".ffn_")) return "feed-forward";
  return "other";
}

struct Group {
  std::string name;
  std::string dtype;
  Place place = Place::kMemory;
  std::int64_t n_tensors = 0;
  std::uint64_t size_bytes = 0;
};

struct Report {
  std::string path;
  int n_files = 0;
  std::uint64_t file_bytes = 0;
  std::string name;
  std::string architecture;
  std::size_t n_keys = 0;
  std::size_t n_vocab_strings = 0;
  std::string tokenizer;
  std::size_t n_tensors = 0;
  std::uint64_t tensor_bytes = 0;
  std::vector<Group> groups;
  std::unique_ptr<Model> model;  // null: not a model Larder runs
  std::string no_model_reason;
  std::uint64_t memory_bytes = 0;
  std::uint64_t streamed_bytes = 0;
  std::uint64_t unused_bytes = 0;
  std::uint64_t smallest_budget_bytes = 0;
};

void FillGroups(const GgufModel& file, Report* report) {
  std::set<const TensorInfo*> dense;
  std::set<const TensorInfo*> unused;
  if (report->model != nullptr) {
    const ModelLayout& layout = report->model->layout();
    dense.insert(layout.dense.begin(), layout.dense.end());
    unused.insert(layout.unused.begin(), layout.unused.end());
  }
  std::map<std::tuple<Place, std::string, std::string>, Group> groups;
  for (const TensorInfo& tensor : file.tensors.tensors()) {
    Place place = Place::kStreams;
    if (report->model == nullptr || unused.count(&tensor) != 0) place = Place::kUnused;
    if (dense.count(&tensor) != 0) place = Place::kMemory;
    const std::string dtype(DTypeName(tensor.dtype));
    Group& group = groups[{place, GroupOf(tensor.name), dtype}];
    group.name = GroupOf(tensor.name);
    group.dtype = dtype;
    group.place = place;
    ++group.n_tensors;
    group.size_bytes += tensor.size_bytes;
    (place == Place::kMemory    ? report->memory_bytes
     : place == Place::kStreams ? report->streamed_bytes
                                : report->unused_bytes) += tensor.size_bytes;
  }
  for (auto& [key, group] : groups) report->groups.push_back(std::move(group));
  std::stable_sort(report->groups.begin(), report->groups.end(),
                   [](const Group& a, const Group& b) { return a.size_bytes > b.size_bytes; });
}

Status Inspect(const GgufModel& file, const std::string& path, Report* report) {
  report->path = path;
  report->n_files = file.tensors.n_files();
  for (int i = 0; i < report->n_files; ++i) report->file_bytes += file.tensors.file(i).size_bytes();
  LARDER_ASSIGN_OR_RETURN(report->name, file.metadata.GetStringOr("general.name", ""));
  LARDER_ASSIGN_OR_RETURN(report->architecture,
                          file.metadata.GetStringOr("general.architecture", ""));
  LARDER_ASSIGN_OR_RETURN(const std::string kind,
                          file.metadata.GetStringOr("tokenizer.ggml.model", ""));
  LARDER_ASSIGN_OR_RETURN(const std::string pre,
                          file.metadata.GetStringOr("tokenizer.ggml.pre", ""));
  report->tokenizer = pre.empty() ? kind : kind + ", " + pre;
  const std::vector<std::string>* tokens = file.metadata.FindStrings("tokenizer.ggml.tokens");
  report->n_vocab_strings = tokens != nullptr ? tokens->size() : 0;
  report->n_keys = file.metadata.values().size();
  report->n_tensors = file.tensors.tensors().size();
  report->tensor_bytes = file.tensors.total_tensor_bytes();
  if (report->n_tensors == 0) {
    report->no_model_reason = "the file has no weights, only metadata";
    return Status::Ok();
  }
  Result<std::unique_ptr<Model>> model = MakeModel(file, ModelOverrides{});
  if (model.ok()) {
    report->model = std::move(model).value();
    LARDER_ASSIGN_OR_RETURN(report->smallest_budget_bytes, SmallestBudget(path));
  } else {
    report->no_model_reason = model.status().message();
  }
  FillGroups(file, report);
  return Status::Ok();
}

void PrintModel(const Report& report) {
  const ModelShape& shape = report.model->shape();
  const ExpertBank& bank = report.model->layout().bank;
  PrintTo(stdout, "  layers            {}\n", shape.n_layers);
  PrintTo(stdout, "  width             {}\n", shape.d_model);
  PrintTo(stdout, "  experts           {} per layer, {} used, width {}\n", shape.n_experts,
          shape.n_used, shape.d_expert);
  if (!bank.layers.empty()) {
    PrintTo(stdout, "  one expert        {}\n", FormatBytes(bank.layers.front().record_bytes()));
  }
  PrintTo(stdout, "  vocabulary        {}\n", shape.n_vocab);
  PrintTo(stdout, "  context           {}\n", shape.context_length);
}

void PrintText(const Report& report) {
  PrintTo(stdout, "{}\n", report.path);
  if (!report.name.empty()) PrintTo(stdout, "  name              {}\n", report.name);
  PrintTo(stdout, "  architecture      {}\n",
          report.architecture.empty() ? "none" : report.architecture);
  PrintTo(stdout, "  file              {} in {} part{}\n", FormatBytes(report.file_bytes),
          report.n_files, report.n_files == 1 ? "" : "s");
  if (report.model != nullptr) PrintModel(report);
  PrintTo(stdout, "  tokenizer         {}\n",
          report.n_vocab_strings == 0
              ? std::string("none")
              : fmt::format("{}, {} tokens", report.tokenizer, report.n_vocab_strings));
  PrintTo(stdout, "  metadata          {} keys\n", report.n_keys);
  if (!report.groups.empty()) {
    PrintTo(stdout, "\n  {:<24}{:<8}{:>8}{:>14}  {}\n", "group", "type", "tensors", "size",
            "where");
  }
  for (const Group& group : report.groups) {
    PrintTo(stdout, "  {:<24}{:<8}{:>8}{:>14}  {}\n", group.name, group.dtype, group.n_tensors,
            FormatBytes(group.size_bytes), report.model == nullptr ? "-" : PlaceName(group.place));
  }
  PrintTo(stdout, "\n");
  if (report.model == nullptr) {
    PrintTo(stdout, "Larder cannot run this file: {}\n", report.no_model_reason);
    return;
  }
  PrintTo(stdout, "stays in memory   {}\n", FormatBytes(report.memory_bytes));
  PrintTo(stdout, "streams           {}\n", FormatBytes(report.streamed_bytes));
  if (report.unused_bytes > 0) {
    PrintTo(stdout, "unused            {}\n", FormatBytes(report.unused_bytes));
  }
  PrintTo(stdout, "smallest budget   --memory {}\n", SizeToPaste(report.smallest_budget_bytes));
}

nlohmann::json ToJson(const Report& report) {
  nlohmann::json json = {{"path", report.path},
                         {"name", report.name},
                         {"architecture", report.architecture},
                         {"n_files", report.n_files},
                         {"file_bytes", report.file_bytes},
                         {"n_tensors", report.n_tensors},
                         {"tensor_bytes", report.tensor_bytes},
                         {"tokenizer", report.tokenizer},
                         {"n_tokens", report.n_vocab_strings},
                         {"n_keys", report.n_keys},
                         {"runs", report.model != nullptr},
                         {"groups", nlohmann::json::array()}};
  for (const Group& group : report.groups) {
    nlohmann::json entry = {{"group", group.name},
                            {"type", group.dtype},
                            {"n_tensors", group.n_tensors},
                            {"bytes", group.size_bytes}};
    if (report.model != nullptr) entry["where"] = PlaceName(group.place);
    json["groups"].push_back(std::move(entry));
  }
  if (report.model == nullptr) {
    json["reason"] = report.no_model_reason;
    return json;
  }
  const ModelShape& shape = report.model->shape();
  json["shape"] = {{"n_layers", shape.n_layers},
                   {"d_model", shape.d_model},
                   {"n_experts", shape.n_experts},
                   {"n_used", shape.n_used},
                   {"d_expert", shape.d_expert},
                   {"n_vocab", shape.n_vocab},
                   {"context_length", shape.context_length}};
  json["memory_bytes"] = report.memory_bytes;
  json["streamed_bytes"] = report.streamed_bytes;
  json["unused_bytes"] = report.unused_bytes;
  json["smallest_budget_bytes"] = report.smallest_budget_bytes;
  json["smallest_budget"] = SizeToPaste(report.smallest_budget_bytes);
  return json;
}

Status InspectFile(const std::string& given_path, bool as_json) {
  LARDER_ASSIGN_OR_RETURN(const std::string path, ResolveModel(given_path));
  LARDER_ASSIGN_OR_RETURN(const GgufModel file, OpenGguf(path));
  Report report;
  LARDER_RETURN_IF_ERROR(Inspect(file, path, &report));
  if (as_json) {
    PrintTo(stdout, "{}\n", DumpJson(ToJson(report), 2));
  } else {
    PrintText(report);
  }
  return Status::Ok();
}

}  // namespace

int InspectMain(const Arguments& arguments) {
  CommandLine line("inspect", "Says what is in a model file and what memory it needs.",
                   "  larder inspect model.gguf\n"
                   "  larder inspect model-00001-of-00005.gguf --json\n");
  std::string path;
  bool as_json = false;
  line.app()
      .add_option("file,-m,--model", path, "GGUF file, the first part of a split one")
      ->type_name("FILE");
  line.app().add_flag("--json", as_json, "print JSON");
  if (const auto exit_status = line.Parse(arguments)) return *exit_status;
  if (path.empty()) return Fail(InvalidArgument("inspect needs a GGUF file, such as model.gguf"));
  const Status status = InspectFile(path, as_json);
  return status.ok() ? kExitSuccess : Fail(status);
}

}  // namespace larder
