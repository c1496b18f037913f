// Any bytes as a saved chat and as a list of tools: read or refused, and what was read is written
// and read again the same; ChatML takes whatever was read.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "text/chatml.h"
#include "text/message_json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  std::vector<larder::ToolDefinition> tools;
  const auto json = larder::ParseJson(text, "the input");
  if (json.ok()) {
    auto read = larder::ToolsFromJson(*json);
    if (read.ok()) tools = std::move(*read);
    for (const larder::ToolDefinition& tool : tools) {
      if (!larder::ParseJson(tool.definition_json, "a definition").ok()) std::abort();
      if (!larder::ParseJson(tool.parameters_json, "parameters").ok()) std::abort();
    }
  }
  const auto messages = larder::ConversationFromJson(text);
  if (!messages.ok()) {
    if (messages.status().message().empty()) std::abort();
    return 0;
  }
  const std::string saved = larder::ConversationToJson(*messages);
  const auto again = larder::ConversationFromJson(saved);
  if (!again.ok() || larder::ConversationToJson(*again) != saved) std::abort();
  if (larder::FormatChatMl(*messages, tools, true).empty()) std::abort();
  return 0;
}
