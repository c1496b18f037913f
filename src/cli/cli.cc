// LarderMain: the overview, --version, the choice of the command.
#include "cli/cli.h"

#include <fmt/format.h>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "base/isa.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/program_version.h"
#include "cli/suggest.h"
#include "io/async_reader.h"

namespace larder {

namespace {

void PrintOverview(std::FILE* out) {
  PrintTo(out,
          "larder runs Mixture-of-Experts language models larger than memory: experts stream "
          "from the SSD.\n\nUsage: larder COMMAND [OPTIONS]\n\nCommands:\n");
  for (const Command& command : AllCommands()) {
    PrintTo(out, "  {:<12}{}\n", command.name, command.summary);
  }
  PrintTo(out,
          "\nlarder COMMAND --help shows a command's options with examples; larder --version "
          "says what this is.\n\nExamples:\n"
          "  larder run -m model.gguf -p \"Why is the sky blue?\"\n"
          "  larder run -m model.gguf --memory 8G --timing -p \"Write a haiku.\"\n"
          "  larder inspect model.gguf\n");
}

int PrintVersion() {
  const Result<Isa> isa = ChooseIsa();
  if (!isa.ok()) return Fail(isa.status());
  std::string reader = "none";
  auto made = MakeAsyncReader(AsyncReaderOptions{});
  if (made.ok()) reader = (*made)->name();
  PrintTo(stdout, "larder {} (commit {}, {}, reader {})\n", ProgramVersion(), ProgramCommit(),
          IsaName(*isa), reader);
  return kExitSuccess;
}

int UnknownCommand(const std::string& word) {
  std::vector<std::string> names = {"--help", "--version"};
  for (const Command& command : AllCommands()) names.emplace_back(command.name);
  const std::string nearest = NearestWord(word, names);
  const std::string kind = word.rfind('-', 0) == 0 ? "option" : "command";
  const std::string hint = nearest.empty() ? "" : fmt::format(", did you mean '{}'?", nearest);
  PrintError(
      fmt::format("there is no {} '{}'{}; larder --help lists the commands", kind, word, hint));
  return kExitWrongUse;
}

int Dispatch(std::vector<std::string> words) {
  if (words.empty()) {
    PrintOverview(stderr);
    PrintError("no command was given; begin with larder run --help");
    return kExitWrongUse;
  }
  if (words[0] == "help" && words.size() > 1) words = {words[1], "--help"};
  const std::string word = words[0];
  if (word == "--help" || word == "-h" || word == "help") {
    PrintOverview(stdout);
    return kExitSuccess;
  }
  if (word == "--version" || word == "-V" || word == "version") return PrintVersion();
  for (const Command& command : AllCommands()) {
    if (command.name == word) return command.run({words.begin() + 1, words.end()});
  }
  return UnknownCommand(word);
}

}  // namespace

int LarderMain(int argc, char** argv) {
  PrepareStandardStreams();
  InitLogging(spdlog::level::warn);
  InstallInterruptHandler();
  int exit_status = kExitFailure;
  try {
    exit_status = Dispatch({argv + (argc > 0 ? 1 : 0), argv + argc});
  } catch (const std::bad_alloc&) {
    PrintError("out of memory outside the budget; give a smaller --memory");
  } catch (const std::exception& error) {
    PrintError(fmt::format("an unforeseen failure, please report it: {}", error.what()));
  }
  if (exit_status != kExitSuccess) return exit_status;
  const Status printed = CheckStdout();
  return printed.ok() ? kExitSuccess : Fail(printed);
}

}  // namespace larder
