// larder tune: automatic experiments on this machine and model. Each run is a `larder bench` of its
// own, so that none inherits the memory or the cache of the one before.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "base/clock.h"
#include "base/cpu_topology.h"
#include "base/size.h"
#include "cli/bench_runner.h"
#include "cli/command.h"
#include "cli/demo_model.h"
#include "cli/engine_flags.h"
#include "cli/engine_profile.h"
#include "cli/interrupt.h"
#include "cli/machine_figures.h"
#include "cli/output.h"
#include "cli/output_file.h"
#include "cli/tune_log.h"
#include "cli/tuner.h"
#include "engine/forecast.h"

extern char** environ;

namespace larder {

namespace {

struct TuneFlags {
  std::string model;
  std::string memory;
  double minutes = 15;
  std::int64_t n_prompt = 64;
  std::int64_t n_answer = 32;
  std::int64_t context_tokens = 0;  // not given: what later runs take
  std::string workload;
  std::string log;
  int n_pairs = 3;
  int n_verify = 3;
  bool again = false;
};

struct ChildOutcome {
  int exit_status = 0;
  std::string out;
  std::string error;
};

Status Drain(int fd, std::string* text, bool* is_open) {
  char piece[4096];
  const ssize_t n = read(fd, piece, sizeof(piece));
  if (n > 0) text->append(piece, static_cast<std::size_t>(n));
  if (n == 0) *is_open = false;
  if (n < 0 && errno != EINTR) return IoError("cannot read from a run: {}", std::strerror(errno));
  return Status::Ok();
}

// Reads both pipes to their ends; an interrupt is passed on to the child.
Status ReadBoth(int out_fd, int error_fd, pid_t child, const InterruptScope& interrupt,
                ChildOutcome* outcome) {
  bool out_open = true;
  bool error_open = true;
  bool was_told = false;
  while (out_open || error_open) {
    pollfd fds[2] = {{out_open ? out_fd : -1, POLLIN, 0}, {error_open ? error_fd : -1, POLLIN, 0}};
    if (poll(fds, 2, 200) < 0 && errno != EINTR) {
      return IoError("cannot wait for a run: {}", std::strerror(errno));
    }
    if (interrupt.requested() && !was_told) {
      kill(child, SIGINT);
      was_told = true;
    }
    if (fds[0].revents != 0) LARDER_RETURN_IF_ERROR(Drain(out_fd, &outcome->out, &out_open));
    if (fds[1].revents != 0) LARDER_RETURN_IF_ERROR(Drain(error_fd, &outcome->error, &error_open));
  }
  return Status::Ok();
}

// This program with other words, to its end.
Result<ChildOutcome> RunSelf(const std::vector<std::string>& words,
                             const InterruptScope& interrupt) {
  int out[2];
  int error[2];
  if (pipe2(out, O_CLOEXEC) != 0) return IoError("no pipe: {}", std::strerror(errno));
  if (pipe2(error, O_CLOEXEC) != 0) {
    close(out[0]);
    close(out[1]);
    return IoError("no pipe: {}", std::strerror(errno));
  }
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, error[1], STDERR_FILENO);
  std::vector<std::string> all = {"larder"};
  all.insert(all.end(), words.begin(), words.end());
  std::vector<char*> pointers;
  for (std::string& word : all) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  pid_t child = 0;
  const int failed =
      posix_spawn(&child, "/proc/self/exe", &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  close(out[1]);
  close(error[1]);
  ChildOutcome outcome;
  Status status = failed != 0 ? IoError("cannot start a run: {}", std::strerror(failed))
                              : ReadBoth(out[0], error[0], child, interrupt, &outcome);
  close(out[0]);
  close(error[0]);
  if (failed != 0) return status;
  int ended = 0;
  while (waitpid(child, &ended, 0) < 0 && errno == EINTR) {
  }
  LARDER_RETURN_IF_ERROR(status);
  outcome.exit_status = WIFEXITED(ended) ? WEXITSTATUS(ended) : 128 + WTERMSIG(ended);
  return outcome;
}

std::string LastLine(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const std::size_t begin = text.rfind('\n');
  return begin == std::string::npos ? text : text.substr(begin + 1);
}

struct Measurement {
  double seconds = 0;
  std::int64_t batch = 0;  // in effect
};

// One exchange: a prompt, then an answer, by their measured rates. The context is that of later
// runs, so that memory is divided as it will be.
Result<Measurement> Measure(const TuneFlags& flags, const TuneSettings& settings,
                            const InterruptScope& interrupt) {
  std::vector<std::string> words = {"bench", "-m", flags.model, "--profile", "none"};
  words.insert(words.end(), {"-r", "1", "-p", fmt::format("{}", flags.n_prompt)});
  words.insert(words.end(), {"-n", fmt::format("{}", flags.n_answer), "-o", "json"});
  words.insert(words.end(), {"--ctx", fmt::format("{}", flags.context_tokens)});
  if (!flags.memory.empty()) words.insert(words.end(), {"--memory", flags.memory});
  if (!flags.workload.empty()) words.insert(words.end(), {"--workload", flags.workload});
  for (const std::string& word : settings.Words()) words.push_back(word);
  if (interrupt.requested()) return Cancelled("interrupted");
  LARDER_ASSIGN_OR_RETURN(const ChildOutcome outcome, RunSelf(words, interrupt));
  if (interrupt.requested()) return Cancelled("interrupted");
  if (outcome.exit_status != 0) {
    // What a setting cannot do ends its try; the first run, with the defaults, says the rest.
    const std::string line = LastLine(outcome.error);
    const bool is_wrong_use = outcome.exit_status == kExitWrongUse;
    return Status(is_wrong_use ? StatusCode::kInvalidArgument : StatusCode::kUnavailable,
                  line.rfind("larder: ", 0) == 0 ? line.substr(8) : line);
  }
  const nlohmann::json json = nlohmann::json::parse(outcome.out, nullptr, false);
  if (!json.is_object() || !json.contains("summary") || !json["summary"].is_object()) {
    return Internal("bench printed no summary");
  }
  const auto seconds = [&json](const char* key, std::int64_t n_tokens) {
    if (n_tokens == 0) return 0.0;
    const double rate = json["summary"].value(key, 0.0);
    return rate > 0 ? static_cast<double>(n_tokens) / rate : 1e9;
  };
  Measurement measurement;
  measurement.seconds = seconds("prefill_tokens_per_second", flags.n_prompt) +
                        seconds("decode_tokens_per_second", flags.n_answer);
  measurement.batch = json.value("/settings/batch"_json_pointer, std::int64_t{0});
  return measurement;
}

// One log per kind of run: figures of another kind are no basis to go on from.
std::string LogPath(const TuneFlags& flags, const nlohmann::json& run,
                    const std::string& profile_path) {
  if (!flags.log.empty()) return flags.log;
  const std::string kind = DumpJson(run);
  return fmt::format("{}-{:08x}.tsv", profile_path.substr(0, profile_path.size() - 5),
                     Fnv1a(kind.data(), kind.size()) & 0xffffffff);
}

// As much as `run` keeps, and room for the exchange.
Result<std::int64_t> ContextOf(const TuneFlags& flags) {
  LARDER_ASSIGN_OR_RETURN(const GgufModel file, OpenGguf(flags.model));
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Model> model, MakeModel(file, ModelOverrides{}));
  const std::int64_t trained = model->shape().context_length;
  const std::int64_t longest = std::max(flags.n_prompt, flags.n_answer);
  if (longest > trained) {
    return InvalidArgument("{} {} is more than the {} positions this model was made for",
                           longest == flags.n_prompt ? "-p" : "-n", longest, trained);
  }
  LARDER_ASSIGN_OR_RETURN(const std::int64_t usual, ChooseContext(0, trained));
  return std::max(usual, longest);
}

std::string Named(const TuneSettings& settings) {
  const std::string options = settings.Options();
  return options.empty() ? "the defaults" : options;
}

TunerOptions MakeTunerOptions(const TuneFlags& flags, const nlohmann::json& run,
                              std::int64_t automatic_batch, TuneLog* log,
                              const InterruptScope& interrupt) {
  TunerOptions options;
  options.run = run;
  options.limits.n_default_threads = DefaultThreadCount();
  options.limits.n_cpus = UsableCpuCount();
  // Without a budget the batch follows the memory that is free; a short prompt hides its cost.
  const bool shows = !flags.memory.empty() && flags.n_prompt >= automatic_batch;
  options.limits.automatic_batch = shows ? automatic_batch : 0;
  options.n_pairs = flags.n_pairs;
  options.measure = [&flags, &interrupt](const TuneSettings& settings) -> Result<double> {
    LARDER_ASSIGN_OR_RETURN(const Measurement measurement, Measure(flags, settings, interrupt));
    return measurement.seconds;
  };
  const std::int64_t start_us = NowUs();
  options.is_over = [&flags, start_us] { return SecondsSince(start_us) > 60 * flags.minutes; };
  options.on_try = [log](const TuneTry& one) {
    PrintTo(stderr, "larder: {}: {} {:.3f}, {} ({})\n", one.number, Named(one.settings), one.ratio,
            one.kept ? "kept" : "reverted", one.why);
    return log->Append(one);
  };
  return options;
}

// Where the profile will be kept; makes its folder, where the log lies too unless it is named.
Result<std::string> PrepareProfile(const std::string& model) {
  std::error_code error;
  if (!std::filesystem::is_regular_file(model, error)) {
    return NotFound("there is no file {}; check the name", model);
  }
  const std::string path = ProfilePath(model);
  if (path.empty()) return InvalidArgument("there is no folder to keep a profile in; set HOME");
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::filesystem::create_directories(folder, error);
  if (error) {
    return IoError("cannot make the folder {} for the profile: {}", folder.string(),
                   error.message());
  }
  LARDER_RETURN_IF_ERROR(CheckOutputFile(path));
  return path;
}

// Runs experiments, then the result against the defaults. Whether it is to be kept.
Result<bool> RunExperiments(const TuneFlags& flags, Tuner* tuner, EngineProfile* profile) {
  LARDER_RETURN_IF_ERROR(tuner->Run());
  const TuneSettings found = tuner->best();
  if (!(found == TuneSettings())) {
    PrintTo(stderr, "larder: {} against the defaults, {} pairs\n", Named(found), flags.n_verify);
  }
  LARDER_ASSIGN_OR_RETURN(const std::vector<double> ratios, tuner->Verify(flags.n_verify));
  profile->settings = tuner->best();
  if (!(profile->settings == TuneSettings())) profile->gain = GeometricMean(ratios);
  profile->n_tries = tuner->n_tries();
  std::optional<TuneSettings> kept;
  if (const auto before = FindProfile(flags.model, profile->budget_bytes)) kept = before->settings;
  return IsResult(*tuner, found, kept);
}

Status Finish(const TuneFlags& flags, const EngineProfile& profile, const std::string& log_path,
              bool is_result) {
  std::string text = fmt::format("{} experiments, {}\nbest: {}, {:.3f} times the defaults' speed\n",
                                 profile.n_tries, log_path, Named(profile.settings), profile.gain);
  if (is_result) {
    LARDER_RETURN_IF_ERROR(SaveProfile(flags.model, profile));
    text += fmt::format("kept in {}, later runs of this model take it\n", ProfilePath(flags.model));
  } else {
    text += "not all is tried yet: a profile that was kept before stays\n";
  }
  return WriteStdout(text);
}

Status Tune(TuneFlags flags) {
  LARDER_ASSIGN_OR_RETURN(flags.model, ResolveModel(flags.model));
  EngineProfile profile;
  if (!flags.memory.empty()) {
    Result<std::uint64_t> budget_bytes = ParseSize(flags.memory);
    if (!budget_bytes.ok()) return budget_bytes.status().WithContext("--memory");
    profile.budget_bytes = *budget_bytes;
  }
  LARDER_ASSIGN_OR_RETURN(const std::string profile_path, PrepareProfile(flags.model));
  LARDER_ASSIGN_OR_RETURN(flags.context_tokens, ContextOf(flags));
  const nlohmann::json run = DescribeTuneRun(
      flags.model,
      {profile.budget_bytes, flags.context_tokens, flags.n_prompt, flags.n_answer, flags.workload});
  const std::string log_path = LogPath(flags, run, profile_path);
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<TuneLog> log,
                          TuneLog::Open(log_path, run, flags.again));
  InterruptScope interrupt;
  // What no setting could cure is said before experiments begin.
  const Result<Measurement> first = Measure(flags, TuneSettings(), interrupt);
  if (first.status().code() == StatusCode::kCancelled) {
    PrintTo(stderr, "larder: no experiment was made; {} is as it was\n", log_path);
  }
  LARDER_RETURN_IF_ERROR(first.status());
  LARDER_RETURN_IF_ERROR(log->Begin());
  if (!log->tries().empty()) {
    PrintTo(stderr, "larder: goes on after {} experiments in {}\n", log->tries().size(), log_path);
  }
  Tuner tuner(MakeTunerOptions(flags, run, first->batch, log.get(), interrupt), log->tries());
  const Result<bool> is_result = RunExperiments(flags, &tuner, &profile);
  if (is_result.status().code() == StatusCode::kCancelled) {
    PrintTo(stderr, "larder: {} experiments are kept in {}; the same command goes on after them\n",
            tuner.n_tries(), log_path);
  }
  LARDER_RETURN_IF_ERROR(is_result.status());
  return Finish(flags, profile, log_path, *is_result);
}

}  // namespace

int TuneMain(const Arguments& arguments) {
  CommandLine line(
      "tune",
      "Finds the fastest settings for a model on this machine by experiments, none of "
      "which changes an answer.",
      "  larder tune -m model.gguf --memory 8G --minutes 15\n"
      "  larder tune -m model.gguf --memory 8G       # goes on where the last ended\n");
  TuneFlags flags;
  CLI::App& app = line.app();
  app.add_option("-m,--model", flags.model, "GGUF file; default: the demo model")
      ->type_name("FILE");
  app.add_option("--memory", flags.memory, "budget of the runs")->type_name("SIZE");
  app.add_option("--minutes", flags.minutes, "for new experiments, 15 by default")->type_name("N");
  app.add_option("-p,--n-prompt", flags.n_prompt, "prompt tokens of an exchange, 64 by default")
      ->type_name("N")
      ->check(WholeNumber(0));
  app.add_option("-n,--n-answer", flags.n_answer, "answer tokens of an exchange, 32 by default")
      ->type_name("N")
      ->check(WholeNumber(0));
  app.add_option("--workload", flags.workload, "routing like real models': easy, mid or hard")
      ->type_name("NAME");
  app.add_option("--pairs", flags.n_pairs, "that a change must win to be kept, 3 by default")
      ->type_name("N")
      ->check(WholeNumber(1));
  app.add_option("--verify", flags.n_verify, "pairs of the result against the defaults, 3")
      ->type_name("N")
      ->check(WholeNumber(1));
  app.add_option("--log", flags.log, "where experiments are written; default: beside the profile")
      ->type_name("FILE");
  app.add_flag("--again", flags.again, "forget earlier experiments");
  if (const auto exit_status = line.Parse(arguments)) return *exit_status;
  if (!(flags.minutes >= 0 && flags.minutes <= 10000)) {
    return Fail(InvalidArgument("--minutes must be from 0 to 10000, not {}", flags.minutes));
  }
  if (flags.n_prompt + flags.n_answer == 0) {
    return Fail(InvalidArgument("-p 0 and -n 0 leave nothing to measure"));
  }
  const Status status = Tune(std::move(flags));
  return status.ok() ? kExitSuccess : Fail(status);
}

}  // namespace larder
