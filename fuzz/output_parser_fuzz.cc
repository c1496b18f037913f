// Any bytes as a model's answer, in every format, whole and in pieces: the same deltas, every ended
// call has a JSON object, every call that begins ends, and without tools all bytes of text come
// out.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "text/message_json.h"
#include "text/output_parser.h"

namespace {

using larder::CallFormat;
using larder::OutputDelta;

const std::vector<larder::ToolDefinition>& Tools() {
  static const std::vector<larder::ToolDefinition> tools = {larder::MakeTool(
      "f", "",
      R"({"properties":{"s":{"type":"string"},"n":{"type":["number","null"]},"b":{"type":"boolean"}}})")};
  return tools;
}

// Deltas of one kind that follow each other, joined. What of a failed call's arguments came before
// it failed depends on how the answer was cut, so it is left out.
std::vector<OutputDelta> Joined(const std::vector<OutputDelta>& deltas) {
  std::vector<OutputDelta> joined;
  for (const OutputDelta& one : deltas) {
    if (one.kind == OutputDelta::Kind::kCallFailed && !joined.empty() &&
        joined.back().kind == OutputDelta::Kind::kCallArguments) {
      joined.pop_back();
    }
    const bool joins = one.kind == OutputDelta::Kind::kText ||
                       one.kind == OutputDelta::Kind::kReasoning ||
                       one.kind == OutputDelta::Kind::kCallArguments;
    if (joins && !joined.empty() && joined.back().kind == one.kind) {
      joined.back().text += one.text;
    } else {
      joined.push_back(one);
    }
  }
  return joined;
}

void CheckCalls(const std::vector<OutputDelta>& deltas) {
  bool open = false;
  std::string arguments;
  int n_calls = 0;
  for (const OutputDelta& one : deltas) {
    switch (one.kind) {
      case OutputDelta::Kind::kText:
      case OutputDelta::Kind::kReasoning:
        if (open || one.text.empty()) std::abort();
        break;
      case OutputDelta::Kind::kCallBegin:
        if (open || one.text.empty() || one.call != n_calls) std::abort();
        ++n_calls;
        open = true;
        arguments.clear();
        break;
      case OutputDelta::Kind::kCallArguments:
        if (!open || one.call != n_calls - 1) std::abort();
        arguments += one.text;
        break;
      case OutputDelta::Kind::kCallEnd: {
        const auto json = larder::ParseJson(arguments, "arguments");
        if (!open || !json.ok() || !json->is_object()) std::abort();
        open = false;
        break;
      }
      case OutputDelta::Kind::kCallFailed:
        if (!open || one.text.empty()) std::abort();
        open = false;
        break;
    }
  }
  if (open) std::abort();
}

std::vector<OutputDelta> Parse(CallFormat format, std::string_view prompt, std::string_view answer,
                               std::size_t n_piece, bool with_tools) {
  larder::OutputStyle style;
  style.calls = format;
  style.reasons = true;
  const auto parser = larder::MakeOutputParser(
      style, with_tools ? Tools() : std::vector<larder::ToolDefinition>(), prompt);
  std::vector<OutputDelta> deltas;
  for (std::size_t begin = 0; begin < answer.size(); begin += n_piece) {
    parser->Feed(answer.substr(begin, n_piece), &deltas);
  }
  parser->Finish(&deltas);
  return deltas;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t n_piece = 1 + data[0] % 7;
  const std::string_view prompt = data[1] % 2 == 0 ? "<|start|>assistant" : "assistant\n<think>\n";
  const std::string_view answer(reinterpret_cast<const char*>(data) + 2, size - 2);
  for (const CallFormat format :
       {CallFormat::kQwenXml, CallFormat::kHermesJson, CallFormat::kDeepseek,
        CallFormat::kDeepseekDsml, CallFormat::kKimi, CallFormat::kMiniMax, CallFormat::kHarmony}) {
    const auto whole = Joined(Parse(format, prompt, answer, answer.size() + 1, true));
    const auto pieces = Joined(Parse(format, prompt, answer, n_piece, true));
    CheckCalls(whole);
    if (whole.size() != pieces.size()) std::abort();
    for (std::size_t i = 0; i < whole.size(); ++i) {
      if (whole[i].kind != pieces[i].kind || whole[i].text != pieces[i].text) std::abort();
    }
  }
  if (prompt != "<|start|>assistant" || answer.find("<think>") != std::string_view::npos) return 0;
  std::string text;
  for (const auto& one : Parse(CallFormat::kQwenXml, prompt, answer, n_piece, false)) {
    text += one.text;
  }
  if (text != answer) std::abort();
  return 0;
}
