// A made-up byte-level vocabulary: 256 bytes, merges of letters in a fixed order, and the control
// tokens of the Qwen3.5 models at their end of the table.
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "cli/synth_shape.h"

namespace larder {

namespace {

constexpr std::int64_t kNormalType = 1;
constexpr std::int64_t kControlType = 3;
constexpr std::int64_t kUserDefinedType = 4;
constexpr std::int64_t kUnusedType = 5;
constexpr const char* kSpace = "\xc4\xa0";  // U+0120, the byte 0x20 in GPT-2's alphabet

struct Special {
  const char* text;
  std::int64_t type;
};

constexpr std::array<Special, 26> kSpecials = {{
    {"<|endoftext|>", kControlType},       {"<|im_start|>", kControlType},
    {"<|im_end|>", kControlType},          {"<|object_ref_start|>", kControlType},
    {"<|object_ref_end|>", kControlType},  {"<|box_start|>", kControlType},
    {"<|box_end|>", kControlType},         {"<|quad_start|>", kControlType},
    {"<|quad_end|>", kControlType},        {"<|vision_start|>", kControlType},
    {"<|vision_end|>", kControlType},      {"<|vision_pad|>", kControlType},
    {"<|image_pad|>", kControlType},       {"<|video_pad|>", kControlType},
    {"<tool_call>", kUserDefinedType},     {"</tool_call>", kUserDefinedType},
    {"<|fim_prefix|>", kControlType},      {"<|fim_middle|>", kControlType},
    {"<|fim_suffix|>", kControlType},      {"<|fim_pad|>", kControlType},
    {"<|repo_name|>", kControlType},       {"<|file_sep|>", kControlType},
    {"<tool_response>", kUserDefinedType}, {"</tool_response>", kUserDefinedType},
    {"<think>", kUserDefinedType},         {"</think>", kUserDefinedType},
}};
// Real tables end with 276 places for control tokens, most of them unused.
constexpr std::int64_t kSpecialPlaces = 276;

std::string Utf8(std::uint32_t point) {
  if (point < 0x80) return std::string(1, static_cast<char>(point));
  return {static_cast<char>(0xc0 | point >> 6), static_cast<char>(0x80 | (point & 0x3f))};
}

// GPT-2's alphabet: printable bytes stand for themselves, the others for U+0100 onwards.
std::vector<std::string> ByteTokens() {
  std::vector<std::string> tokens;
  std::uint32_t next = 256;
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    tokens.push_back(Utf8(printable ? byte : next++));
  }
  return tokens;
}

class MergeTable {
 public:
  explicit MergeTable(std::int64_t n_tokens)
      : tokens_(ByteTokens()), n_wanted_(static_cast<std::size_t>(n_tokens)) {}

  // Every left followed by every right, until the table is full.
  void Cross(const std::vector<std::string>& left, const std::vector<std::string>& right) {
    for (const std::string& a : left) {
      for (const std::string& b : right) {
        if (tokens_.size() >= n_wanted_) return;
        tokens_.push_back(a + b);
        merges_.push_back(a + " " + b);
      }
    }
  }

  void Build() {
    std::vector<std::string> lower;
    std::vector<std::string> letters;
    for (char c = 'a'; c <= 'z'; ++c) lower.emplace_back(1, c);
    letters = lower;
    for (char c = 'A'; c <= 'Z'; ++c) letters.emplace_back(1, c);
    const std::vector<std::string> upper(letters.begin() + 26, letters.end());
    const auto join = [](const std::vector<std::string>& left,
                         const std::vector<std::string>& right) {
      std::vector<std::string> joined;
      for (const std::string& a : left) {
        for (const std::string& b : right) joined.push_back(a + b);
      }
      return joined;
    };
    const std::vector<std::string> pairs = join(lower, lower);
    Cross(lower, lower);
    Cross({kSpace}, letters);
    Cross(upper, lower);
    Cross(join({kSpace}, lower), lower);
    Cross(pairs, lower);
    Cross(join({kSpace}, lower), pairs);
    Cross(pairs, pairs);
  }

  std::vector<std::string> tokens_;
  std::vector<std::string> merges_;

 private:
  std::size_t n_wanted_;
};

}  // namespace

void AddSynthVocabulary(std::int64_t n_vocab, Metadata* metadata) {
  MergeTable table(n_vocab - kSpecialPlaces);
  table.Build();
  std::vector<std::string>& tokens = table.tokens_;
  std::vector<std::int64_t> types(tokens.size(), kNormalType);
  const auto first_special = static_cast<std::uint32_t>(tokens.size());
  for (const Special& special : kSpecials) {
    tokens.emplace_back(special.text);
    types.push_back(special.type);
  }
  while (tokens.size() < static_cast<std::size_t>(n_vocab)) {
    tokens.push_back("[PAD" + std::to_string(tokens.size()) + "]");
    types.push_back(kUnusedType);
  }
  metadata->SetString("tokenizer.ggml.model", "gpt2");
  metadata->SetString("tokenizer.ggml.pre", "qwen35");
  metadata->SetStrings("tokenizer.ggml.tokens", std::move(tokens));
  metadata->SetInts("tokenizer.ggml.token_type", std::move(types));
  metadata->SetStrings("tokenizer.ggml.merges", std::move(table.merges_));
  metadata->SetUint32("tokenizer.ggml.eos_token_id", first_special + 2);
  metadata->SetUint32("tokenizer.ggml.padding_token_id", first_special);
  metadata->SetBool("tokenizer.ggml.add_bos_token", false);
}

}  // namespace larder
