// The table of commands, and CLI11 behind one class.
#include "cli/command.h"

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <charconv>
#include <cstdio>

#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/serve_flags.h"
#include "cli/suggest.h"

namespace larder {

std::span<const Command> AllCommands() {
  static constexpr std::array<Command, 15> kCommands = {{
      {"run", "answer a prompt", RunMain},
      {"chat", "a conversation, with tools if you like", ChatMain},
      {"serve", "serve the OpenAI, Anthropic and Ollama APIs", ServeMain},
      {"inspect", "what is in a model file, what stays in memory, what streams", InspectMain},
      {"plan", "what a model would do on this machine, before it is downloaded", PlanMain},
      {"bench", "measure speed beside the limits of this machine", BenchMain},
      {"tune", "find the fastest settings for a model on this machine", TuneMain},
      {"logits", "logits of a list of tokens, as JSON or .npy", LogitsMain},
      {"perplexity", "what a text costs a model; KL divergence from saved logits", PerplexityMain},
      {"eval", "answer tasks from files and count what is right", EvalMain},
      {"tokenize", "text to token ids", TokenizeMain},
      {"detokenize", "token ids to text", DetokenizeMain},
      {"template", "a conversation as the text that a model's chat template makes", TemplateMain},
      {"quantize", "write a model with other weight types", QuantizeMain},
      {"synth", "write a random model of a real shape", SynthMain},
  }};
  return kCommands;
}

CLI::Validator WholeNumber(std::int64_t least, std::int64_t most) {
  const auto check = [least, most](std::string& word) -> std::string {
    std::int64_t value = 0;
    const char* end = word.data() + word.size();
    const auto [stop, error] = std::from_chars(word.data(), end, value);
    if (error == std::errc::result_out_of_range) return fmt::format("{} is too large", word);
    if (error != std::errc() || stop != end) return fmt::format("'{}' is not a whole number", word);
    if (value < least) return fmt::format("must be at least {}, not {}", least, value);
    if (value > most) return fmt::format("must be at most {}, not {}", most, value);
    return "";
  };
  return CLI::Validator(check, "");
}

void PrintError(const std::string& sentence) {
  std::fflush(stdout);
  // Not fmt::print, which throws when stderr cannot be written.
  std::fputs(("larder: " + sentence + "\n").c_str(), stderr);
}

int Fail(const Status& status) {
  if (status.code() == StatusCode::kCancelled) return InterruptExitStatus();
  PrintError(status.message());
  return status.code() == StatusCode::kInvalidArgument ? kExitWrongUse : kExitFailure;
}

CommandLine::CommandLine(const std::string& name, const std::string& description,
                         const std::string& examples)
    : app_(description, "larder " + name), name_(name) {
  app_.footer("\nExamples:\n" + examples);
  app_.allow_extras();
  app_.set_help_flag("-h,--help", "show this help");
  app_.get_formatter()->column_width(34);
}

std::vector<std::string> CommandLine::OptionNames() const {
  std::vector<std::string> names;
  for (const CLI::Option* option : app_.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

int CommandLine::WrongUse(const std::string& sentence) const {
  PrintError(fmt::format("{}; larder {} --help shows how", sentence, name_));
  return kExitWrongUse;
}

int CommandLine::WrongWord(const std::string& word) const {
  const std::string name = word.substr(0, word.find('='));
  if (name.empty() || name[0] != '-' || name == "-") {
    return WrongUse(fmt::format("{} does not know what to do with '{}'", name_, word));
  }
  const std::string nearest = NearestWord(name, OptionNames());
  if (nearest.empty()) return WrongUse(fmt::format("{} has no option '{}'", name_, name));
  return WrongUse(fmt::format("{} has no option '{}', did you mean '{}'?", name_, name, nearest));
}

std::optional<int> CommandLine::Parse(const Arguments& arguments) {
  Arguments reversed(arguments.rbegin(), arguments.rend());
  try {
    app_.parse(std::move(reversed));
  } catch (const CLI::CallForHelp&) {
    PrintTo(stdout, "{}\n", app_.help());
    return kExitSuccess;
  } catch (const CLI::ParseError& error) {
    // A mistyped option is the likelier cause of whatever else is missing.
    for (const std::string& word : app_.remaining()) {
      if (word.size() > 1 && word[0] == '-' && word != "--") return WrongWord(word);
    }
    std::string sentence = error.what();
    while (!sentence.empty() && (sentence.back() == '.' || sentence.back() == '\n')) {
      sentence.pop_back();
    }
    if (!sentence.empty() && sentence[0] != '-') {
      sentence[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(sentence[0])));
    }
    const std::size_t must = sentence.find(": must be ");
    if (must != std::string::npos) sentence.erase(must, 1);
    return WrongUse(sentence);
  }
  for (const std::string& word : app_.remaining()) {
    if (word != "--") return WrongWord(word);
  }
  return std::nullopt;
}

}  // namespace larder
