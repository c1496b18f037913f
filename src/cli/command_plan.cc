// larder plan: what a model would do on a machine, before it is downloaded: whether it fits, how
// fast it would be, where the time would go and what would help.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>

#include "base/memory.h"
#include "base/size.h"
#include "cli/command.h"
#include "cli/disk_probe.h"
#include "cli/engine_flags.h"
#include "cli/hf_config.h"
#include "cli/interrupt.h"
#include "cli/machine_info.h"
#include "cli/machine_probe.h"
#include "cli/number_list.h"
#include "cli/output.h"
#include "cli/output_file.h"
#include "cli/phantom_model.h"
#include "cli/planner.h"
#include "cli/text_file.h"
#include "cli/timing.h"
#include "cli/token_list.h"
#include "engine/forecast.h"
#include "models/model.h"

namespace larder {

namespace {

constexpr int kCurvePoints = 24;
constexpr DType kDenseType = DType::kQ8_0;

struct PlanFlags {
  std::string model;
  std::string shape;
  std::string config;
  std::string memory;
  std::string disk;
  std::string machine;
  std::string types;
  std::string workload = "mid";
  std::string svg;
  double recall = 0.75;
  std::int64_t context_tokens = 0;
  std::int64_t n_prompt = 512;
  bool has_prompt = false;  // -p was given
  std::int64_t depth = 0;
  int n_used = 0;
  int n_threads = 0;
  std::string lookahead = "auto";
  bool quick = false;
  bool fresh = false;
  bool json = false;
};

// What is planned for: a file, or a shape that can be made in any types.
struct Source {
  std::string name;
  std::optional<GgufModel> file;
  SynthShape shape;
  std::int64_t context_length = 0;  // trained
};

Result<std::vector<DType>> ExpertTypes(const PlanFlags& flags) {
  std::vector<DType> types;
  if (flags.types.empty()) {
    return std::vector<DType>{DType::kQ4_K, DType::kQ8_0, DType::kQ6_K,
                              DType::kQ5_K, DType::kQ3_K, DType::kQ2_K};
  }
  for (const std::string& word : SplitList(flags.types)) {
    LARDER_ASSIGN_OR_RETURN(const DType dtype, ParseWritableType("--types", word));
    types.push_back(dtype);
  }
  if (types.empty()) return InvalidArgument("--types names no type");
  return types;
}

Result<Source> FindSource(const PlanFlags& flags) {
  Source source;
  if (!flags.shape.empty()) {
    LARDER_ASSIGN_OR_RETURN(source.shape, FindSynthShape(flags.shape));
    source.name = "shape " + flags.shape;
  } else if (!flags.config.empty()) {
    LARDER_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(flags.config));
    Result<SynthShape> shape = ParseHfConfig(text);
    if (!shape.ok()) return shape.status().WithContext(flags.config);
    source.shape = std::move(*shape);
    source.name = flags.config;
  } else {
    LARDER_ASSIGN_OR_RETURN(source.file, OpenGguf(flags.model));
    source.name = flags.model;
    LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Model> model,
                            MakeModel(*source.file, {.n_used = flags.n_used}));
    source.context_length = model->shape().context_length;
    return source;
  }
  if (flags.n_used > source.shape.n_experts) {
    return InvalidArgument("--experts {} is more than the model's {}", flags.n_used,
                           source.shape.n_experts);
  }
  source.context_length = source.shape.context_length;
  return source;
}

// Makes room for the tests as bench does; what is left of the context cuts a prompt that nobody
// asked for.
Status SettleContext(std::int64_t trained, PlanFlags* flags) {
  LARDER_ASSIGN_OR_RETURN(const std::int64_t usual, ChooseContext(flags->context_tokens, trained));
  const bool is_given = flags->context_tokens > 0;
  const std::int64_t most = is_given ? usual : trained;
  const std::string limit = is_given
                                ? fmt::format("--ctx {}", most)
                                : fmt::format("the {} positions this model was made for", most);
  if (flags->depth >= most) {
    return InvalidArgument("-d {} leaves no place in {}", flags->depth, limit);
  }
  const std::int64_t room = most - flags->depth;
  if (!flags->has_prompt) flags->n_prompt = std::min(flags->n_prompt, room);
  if (flags->n_prompt > room) {
    return InvalidArgument("-p {} after -d {} is more than {}", flags->n_prompt, flags->depth,
                           limit);
  }
  const std::int64_t needed = flags->depth + std::max<std::int64_t>(flags->n_prompt, 1);
  flags->context_tokens = std::max(usual, needed);
  return Status::Ok();
}

Result<PhantomModel> MakePhantom(const Source& source, DType experts) {
  const QuantizeTypes types{experts, kDenseType};
  return source.file ? PhantomModel::FromFile(*source.file, types)
                     : PhantomModel::FromShape(source.shape, types);
}

std::string TypesName(DType experts) {
  return fmt::format("{} experts, {} dense", DTypeName(experts), DTypeName(kDenseType));
}

// The types whose products the plan needs to know.
std::vector<DType> ProductTypes(const Source& source, const std::vector<DType>& experts) {
  std::vector<DType> types = experts;
  const auto add = [&types](DType dtype) {
    if (std::find(types.begin(), types.end(), dtype) == types.end()) types.push_back(dtype);
  };
  for (const DType dtype : {kDenseType, DType::kF32, DType::kF16}) add(dtype);
  if (source.file) {
    for (const TensorInfo& tensor : source.file->tensors.tensors()) add(tensor.dtype);
  }
  return types;
}

struct Machine {
  MachineFigures figures;
  std::string source;
};

// The folder whose disk the model is on, or would be.
std::string DiskFolder(const PlanFlags& flags) {
  if (!flags.disk.empty()) return flags.disk;
  if (flags.model.empty()) return ".";
  const std::string parent = std::filesystem::path(flags.model).parent_path().string();
  return parent.empty() ? "." : parent;
}

Result<Machine> FindMachine(const PlanFlags& flags, const std::vector<DType>& types) {
  Machine machine;
  if (!flags.machine.empty()) {
    LARDER_ASSIGN_OR_RETURN(machine.figures, LoadMachineFigures(flags.machine));
    machine.source = "figures of " + flags.machine;
    return machine;
  }
  InterruptScope interrupt;
  MachineProbeOptions options;
  options.folder = DiskFolder(flags);
  options.n_threads = flags.n_threads > 0 ? flags.n_threads : DefaultThreadCount();
  options.quick = flags.quick;
  options.types = types;
  options.on_step = [](const std::string& what) { PrintTo(stderr, "larder: {}\n", what); };
  options.interrupted = [&interrupt] { return interrupt.requested(); };
  const std::string path = MachineFilePath(CpuName(), DiskName(options.folder), options.n_threads);
  Result<MachineFigures> kept = NotFound("nothing kept");
  if (!flags.fresh && !path.empty()) kept = LoadMachineFigures(path);
  if (kept.ok()) {
    machine.figures = std::move(*kept);
    machine.source = "measured before, kept in " + path;
    const std::size_t n_known = machine.figures.products.size();
    LARDER_RETURN_IF_ERROR(ProbeProducts(options, types, &machine.figures));
    machine.figures.disk_free_bytes = FreeDiskBytes(options.folder);
    if (machine.figures.products.size() == n_known) return machine;
    if (flags.quick) machine.source += "; what was missing measured now, quickly";
  } else {
    LARDER_ASSIGN_OR_RETURN(machine.figures, ProbeMachine(options));
    machine.source = flags.quick ? "measured now, quickly" : "measured now";
  }
  // Quick figures are too rough to be kept, in place of good ones or beside them.
  if (path.empty() || flags.quick) return machine;
  const Status saved = SaveMachineFigures(machine.figures, path);
  if (!saved.ok()) PrintTo(stderr, "larder: figures are not kept: {}\n", saved.message());
  return machine;
}

Result<std::vector<std::uint64_t>> ParseBudgets(const std::string& memory) {
  std::vector<std::uint64_t> budgets;
  for (const std::string& word : SplitList(memory)) {
    Result<std::uint64_t> budget = ParseSize(word);
    if (!budget.ok()) return budget.status().WithContext("--memory");
    if (*budget == 0) return InvalidArgument("--memory {} is no memory at all", word);
    budgets.push_back(*budget);
  }
  if (budgets.empty() && !memory.empty()) return InvalidArgument("--memory names no size");
  return budgets;
}

// The budgets asked for; by default what this machine has, half of it and twice.
Result<std::vector<std::uint64_t>> FindBudgets(std::vector<std::uint64_t> budgets,
                                               const PlanFlags& flags,
                                               const MachineFigures& machine) {
  if (budgets.empty()) {
    std::uint64_t have = machine.memory_bytes - machine.memory_bytes / 8;
    if (flags.machine.empty()) have = std::min(have, AvailableMemoryBytes());
    if (have == 0) {
      return InvalidArgument("the machine file says no \"memory_bytes\"; give --memory SIZE");
    }
    const std::uint64_t step = have >= (std::uint64_t{2} << 30) ? std::uint64_t{1} << 30 : 1 << 20;
    budgets.push_back(std::max(have / step * step, step));
  }
  if (budgets.size() == 1) {
    budgets.push_back(budgets[0] / 2);
    budgets.push_back(budgets[0] * 2);
  }
  return budgets;
}

Result<EngineOptions> PlannedEngine(const PlanFlags& flags) {
  EngineOptions options;
  LARDER_ASSIGN_OR_RETURN(options.lookahead, ParseLookaheadMode(flags.lookahead));
  options.context_tokens = flags.context_tokens;
  options.n_threads = flags.n_threads;
  options.n_used = flags.n_used;
  return options;
}

// More memory, a faster disk, fewer bits: the decode rate with each of them.
Result<std::vector<PlanAdvice>> MakeAdvice(const std::string& path, const PlanReport& report,
                                           Planner* planner) {
  std::vector<PlanAdvice> advice;
  const PlanRow* main = MainRow(report);
  if (main == nullptr) return advice;
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Forecast> forecast, planner->Open(path));
  const auto add = [&](const std::string& what, const Result<PlanRow>& row) {
    if (row.ok() && row->problem.empty()) advice.push_back({what, row->decode.expected});
  };
  const std::uint64_t more = report.main_budget_bytes + report.main_budget_bytes / 2;
  const MachineFigures& machine = report.machine;
  add(fmt::format("half as much memory again ({})", SizeToPaste(more)),
      planner->RowOf(*forecast, machine, more));
  MachineFigures faster = machine;
  for (DiskReadRate& rate : faster.disk_rates) {
    for (const auto which :
         {&DiskReadRate::bytes_per_second, &DiskReadRate::lowest, &DiskReadRate::highest}) {
      rate.*which *= 2;
    }
  }
  add("a disk twice as fast", planner->RowOf(*forecast, faster, report.main_budget_bytes));
  faster = machine;
  faster.memory_bytes_per_second *= 2;
  faster.state_bytes_per_second *= 2;
  for (ProductRate& rate : faster.products) {
    rate.bytes_per_second *= 2;
    rate.multiply_adds_per_second *= 2;
    rate.few_multiply_adds_per_second *= 2;
  }
  add("processor and memory twice as fast",
      planner->RowOf(*forecast, faster, report.main_budget_bytes));
  const double bits = report.types[report.main_types].bits_per_weight;
  const PlanTypes* fewer = nullptr;
  for (const PlanTypes& types : report.types) {
    if (types.bits_per_weight >= bits * 0.99) continue;
    if (fewer == nullptr || types.bits_per_weight > fewer->bits_per_weight) fewer = &types;
  }
  if (fewer != nullptr) {
    for (const PlanRow& row : fewer->rows) {
      if (row.budget_bytes == report.main_budget_bytes && row.problem.empty()) {
        advice.push_back(
            {fmt::format("{} (at a price in quality)", fewer->name), row.decode.expected});
      }
    }
  }
  std::stable_sort(advice.begin(), advice.end(),
                   [](const PlanAdvice& a, const PlanAdvice& b) { return a.decode > b.decode; });
  return advice;
}

// Fills report.types; returns the curves of the picture when there is to be one.
Result<std::vector<PlanTypes>> PlanAll(const PlanFlags& flags, const Source& source,
                                       const std::vector<DType>& experts,
                                       const std::vector<std::uint64_t>& budgets, Planner* planner,
                                       PlanReport* report) {
  std::vector<PlanTypes> curves;
  const auto plan = [&](const std::string& name, const std::string& path) -> Status {
    LARDER_ASSIGN_OR_RETURN(PlanTypes types, planner->Plan(name, path, budgets));
    if (!flags.svg.empty()) {
      LARDER_ASSIGN_OR_RETURN(PlanTypes curve,
                              planner->Plan(name, path, CurveBudgets(types, kCurvePoints)));
      curves.push_back(std::move(curve));
    }
    report->types.push_back(std::move(types));
    return Status::Ok();
  };
  if (source.file) {
    LARDER_RETURN_IF_ERROR(plan("as in the file", flags.model));
    report->types.back().fits_disk = true;  // it is there
  }
  for (const DType dtype : experts) {
    LARDER_ASSIGN_OR_RETURN(const PhantomModel phantom, MakePhantom(source, dtype));
    LARDER_RETURN_IF_ERROR(plan(TypesName(dtype), phantom.path()));
  }
  if (source.file) {
    LARDER_ASSIGN_OR_RETURN(report->advice, MakeAdvice(flags.model, *report, planner));
  } else {
    LARDER_ASSIGN_OR_RETURN(const PhantomModel phantom, MakePhantom(source, experts[0]));
    LARDER_ASSIGN_OR_RETURN(report->advice, MakeAdvice(phantom.path(), *report, planner));
  }
  return curves;
}

Status Plan(PlanFlags flags) {
  LARDER_ASSIGN_OR_RETURN(std::vector<std::uint64_t> budgets, ParseBudgets(flags.memory));
  LARDER_RETURN_IF_ERROR(CheckOutputFile(flags.svg, {flags.model, flags.config, flags.machine}));
  LARDER_ASSIGN_OR_RETURN(const Source source, FindSource(flags));
  LARDER_RETURN_IF_ERROR(SettleContext(source.context_length, &flags));
  LARDER_ASSIGN_OR_RETURN(const std::vector<DType> experts, ExpertTypes(flags));
  LARDER_ASSIGN_OR_RETURN(const EngineOptions engine, PlannedEngine(flags));
  PlannerOptions options;
  LARDER_ASSIGN_OR_RETURN(options.routing, RoutingGenerator::FromName(flags.workload));
  const std::vector<DType> product_types = ProductTypes(source, experts);
  LARDER_ASSIGN_OR_RETURN(const Machine machine, FindMachine(flags, product_types));
  LARDER_ASSIGN_OR_RETURN(budgets, FindBudgets(std::move(budgets), flags, machine.figures));
  PlanReport report;
  report.main_budget_bytes = budgets[0];
  std::sort(budgets.begin(), budgets.end());
  budgets.erase(std::unique(budgets.begin(), budgets.end()), budgets.end());
  options.engine = engine;
  options.recall = flags.recall;
  options.lookahead = engine.lookahead != LookaheadMode::kOff;
  options.prompt_tokens = flags.n_prompt;
  options.depth = flags.depth;
  options.disk_free_bytes = machine.figures.disk_free_bytes;
  report.model = source.name;
  report.routing =
      fmt::format("workload {}, {}", flags.workload,
                  options.lookahead ? fmt::format("lookahead with recall {:.2f}", flags.recall)
                                    : std::string("no lookahead"));
  report.machine = machine.figures;
  report.product_types = product_types;
  report.machine_source = machine.source;
  report.has_prefill_compute =
      machine.figures.multiply_adds_per_second > 0 || !machine.figures.products.empty();
  report.context_tokens = flags.context_tokens;
  report.prompt_tokens = flags.n_prompt;
  report.depth = flags.depth;
  if (flags.n_used > 0) {
    report.lossy =
        fmt::format("{} experts per token instead of the model's own number", flags.n_used);
  }
  Planner planner(machine.figures, options);
  LARDER_ASSIGN_OR_RETURN(const std::vector<PlanTypes> curves,
                          PlanAll(flags, source, experts, budgets, &planner, &report));
  LARDER_RETURN_IF_ERROR(
      WriteStdout(flags.json ? DumpJson(ToJson(report), 2) + "\n" : ToMarkdown(report)));
  return flags.svg.empty() ? Status::Ok() : WriteTextFile(flags.svg, ToSvg(report, curves));
}

Status CheckFlags(const PlanFlags& flags) {
  const int n_sources = (flags.model.empty() ? 0 : 1) + (flags.shape.empty() ? 0 : 1) +
                        (flags.config.empty() ? 0 : 1);
  if (n_sources != 1) {
    return InvalidArgument("plan needs one of -m FILE, --shape NAME and --config FILE");
  }
  if (!(flags.recall >= 0 && flags.recall <= 1)) {
    return InvalidArgument("--recall is a share from 0 to 1, not {}", flags.recall);
  }
  if (!flags.machine.empty() && (flags.quick || flags.fresh || !flags.disk.empty())) {
    return InvalidArgument("--machine measures nothing: --quick, --fresh and --disk go without it");
  }
  return Status::Ok();
}

void AddPlanFlags(CLI::App* app, PlanFlags* flags) {
  app->add_option("-m,--model", flags->model, "a GGUF file; only its headers are read")
      ->type_name("FILE");
  app->add_option("--shape", flags->shape,
                  "qwen3.5-35b-a3b, qwen3.5-122b-a10b or qwen3.5-397b-a17b")
      ->type_name("NAME");
  app->add_option("--config", flags->config, "a published config.json")->type_name("FILE");
  app->add_option("--memory", flags->memory,
                  "one budget or several, such as 8G or 4G,8G,16G; default: what is available")
      ->type_name("SIZES");
  app->add_option("--types", flags->types,
                  "weight types of the experts; default: Q4_K,Q8_0,Q6_K,Q5_K,Q3_K,Q2_K")
      ->type_name("LIST");
  app->add_option("--disk", flags->disk, "measure the disk of this folder; default: the model's")
      ->type_name("FOLDER");
  app->add_option("--machine", flags->machine, "figures of another machine")->type_name("FILE");
  app->add_flag("--quick", flags->quick, "measure roughly, in a few seconds; not kept");
  app->add_flag("--fresh", flags->fresh, "measure again what was kept");
  app->add_option("--workload", flags->workload, "routing like real models': easy, mid or hard")
      ->type_name("NAME");
  app->add_option("--recall", flags->recall, "of the lookahead's guesses, 0.75 by default")
      ->type_name("R");
  app->add_option("--lookahead", flags->lookahead, "auto or off")->type_name("MODE");
  app->add_option("--experts", flags->n_used, "experts per token")
      ->type_name("K")
      ->check(WholeNumber(1));
  app->add_option("-p,--n-prompt", flags->n_prompt, "prompt tokens, 512 by default, 0: no prompt")
      ->type_name("N")
      ->check(WholeNumber(0));
  app->add_option("-d,--depth", flags->depth, "tokens before the answer")
      ->type_name("N")
      ->check(WholeNumber(0));
  app->add_option("--ctx", flags->context_tokens,
                  "positions to keep; default: what -p and -d need, at least as `run`")
      ->type_name("N")
      ->check(WholeNumber(1));
  app->add_option("--threads", flags->n_threads, "default: one per fast core")
      ->type_name("N")
      ->check(WholeNumber(1, kMostThreads));
  app->add_flag("--json", flags->json, "print one JSON object");
  app->add_option("--svg", flags->svg, "draw decode rate against memory")->type_name("FILE");
}

}  // namespace

int PlanMain(const Arguments& arguments) {
  CommandLine line(
      "plan",
      "Says what a model would do on this machine, from its headers or its shape "
      "alone: whether it fits, how fast it would be and what would help.",
      "  larder plan --shape qwen3.5-397b-a17b --memory 48G\n"
      "  larder plan -m model.gguf --memory 8G,16G,24G --svg rates.svg\n"
      "  larder plan --config config.json --machine laptop.json --memory 32G --json\n");
  PlanFlags flags;
  AddPlanFlags(&line.app(), &flags);
  if (const auto exit_status = line.Parse(arguments)) return *exit_status;
  flags.has_prompt = line.Given("-p");
  Status status = CheckFlags(flags);
  if (status.ok()) status = Plan(std::move(flags));
  return status.ok() ? kExitSuccess : Fail(status);
}

}  // namespace larder
