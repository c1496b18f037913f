// What all renderers share.
#include "server/answer.h"

#include <ctime>
#include <random>

namespace larder {

void AppendPiece(AnswerPiece piece, std::vector<AnswerPiece>* pieces) {
  const OutputDelta::Kind kind = piece.delta.kind;
  const bool goes_on = kind == OutputDelta::Kind::kText || kind == OutputDelta::Kind::kReasoning ||
                       kind == OutputDelta::Kind::kCallArguments;
  if (!goes_on || pieces->empty() || pieces->back().delta.kind != kind) {
    pieces->push_back(std::move(piece));
    return;
  }
  AnswerPiece& last = pieces->back();
  last.delta.text += piece.delta.text;
  for (TokenDetail& token : piece.tokens) last.tokens.push_back(std::move(token));
}

std::string AnswerRenderer::Progress(std::int64_t n_done, std::int64_t n_total) const {
  return fmt::format(": prompt {} of {} tokens\n\n", n_done, n_total);
}

std::string SseEvent(const OrderedJson& json, const char* name) {
  std::string event;
  if (name != nullptr) event = fmt::format("event: {}\n", name);
  return event + "data: " + JsonText(json) + "\n\n";
}

std::optional<OrderedJson> ParseObject(const std::string& json) {
  Result<OrderedJson> parsed = ParseJson(json, "it");
  if (!parsed.ok() || !parsed->is_object()) return std::nullopt;
  return std::move(*parsed);
}

std::uint64_t RandomSeed() {
  std::random_device device;
  return static_cast<std::uint64_t>(device()) << 32 | device();
}

std::string NewId(const char* prefix) {
  static constexpr char kLetters[] =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  std::random_device device;
  std::uniform_int_distribution<int> letter(0, 61);
  std::string id = prefix;
  for (int i = 0; i < 24; ++i) id += kLetters[letter(device)];
  return id;
}

std::int64_t UnixSeconds() { return static_cast<std::int64_t>(std::time(nullptr)); }

}  // namespace larder
