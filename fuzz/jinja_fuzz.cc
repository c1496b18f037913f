// Any bytes as a chat template, and behind a zero byte as its input: a text or one clean error,
// within small limits, and the same text twice.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "text/chat_template.h"

namespace {

constexpr std::string_view kInput =
    R"({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "h\u00e9llo"},
    {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f",
    "arguments": {"a": 1, "b": [true, 2.5]}}}]}], "tools": [{"type": "function"}], "x": "a,b c",
    "n": -7, "add_generation_prompt": true})";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::size_t end = std::min(bytes.find('\0'), bytes.size());
  const auto chat = larder::ChatTemplate::Parse(bytes.substr(0, end));
  if (!chat.ok()) {
    if (chat.status().message().empty()) std::abort();
    return 0;
  }
  larder::RenderOptions options;
  options.limits.max_steps = 200'000;
  options.limits.max_memory_bytes = std::size_t{8} << 20;
  options.limits.max_output_bytes = std::size_t{1} << 20;
  options.now = std::tm{};
  const std::string_view input = end < bytes.size() ? bytes.substr(end + 1) : kInput;
  const auto text = chat->RenderText(input, options);
  const auto again = chat->RenderText(input, options);
  if (text.ok() != again.ok() || (text.ok() && *text != *again)) std::abort();
  return 0;
}
