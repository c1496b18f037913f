// The marks by which agents' habits are known, and where they are looked for.
#include "server/agent_habits.h"

#include <algorithm>
#include <string_view>

namespace larder {

namespace {

constexpr std::string_view kBillingMark = "x-anthropic-billing-header:";

constexpr std::int64_t kSmallAnswerTokens = 64;
constexpr std::size_t kSmallPromptBytes = 4096;
// Instructions of a small task are short; those of an agent, which may speak of titles too, are
// not.
constexpr std::size_t kShortInstructionsBytes = 8192;
constexpr std::size_t kOpeningBytes = 400;  // of a user's message that may be such instructions

// In lower case.
constexpr std::string_view kTaskOpening = "### task:";
constexpr std::string_view kTasks[] = {
    "new conversation topic",
    "title generator",
    "word title",
    "word-or-less title",
    "sentence-case title",
    "generate a title",
    "generate a concise title",
    "title for the chat",
    "title for the conversation",
    "title for this conversation",
    "title for the following conversation",
    "summarize this coding conversation",
};

std::string_view WithoutBillingLines(std::string_view text) {
  bool found = false;
  while (text.rfind(kBillingMark, 0) == 0) {
    found = true;
    text.remove_prefix(std::min(text.find('\n'), text.size() - 1) + 1);
  }
  while (found && !text.empty() && text.front() == '\n') text.remove_prefix(1);
  return text;
}

std::string LowerCase(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

bool NamesTask(const std::string& lower) {
  return std::any_of(std::begin(kTasks), std::end(kTasks),
                     [&](std::string_view task) { return lower.find(task) != std::string::npos; });
}

}  // namespace

void DropBillingLines(ChatRequest* request) {
  std::vector<Message>& messages = request->messages;
  if (messages.empty() || messages.front().role != Role::kSystem) return;
  Message& first = messages.front();
  if (first.parts.empty() && !first.text) return;
  std::string* text = first.parts.empty() ? &*first.text : &first.parts.front().text;
  if (text->rfind(kBillingMark, 0) != 0) return;
  *text = std::string(WithoutBillingLines(*text));
  if (!text->empty()) return;
  if (first.parts.size() > 1) {
    first.parts.erase(first.parts.begin());
  } else if (messages.size() > 1) {
    messages.erase(messages.begin());
  }
}

bool IsSideRequest(const ChatRequest& request) {
  if (!request.is_chat || !request.tools.empty()) return false;
  std::string instructions;
  std::string opening;
  std::size_t n_bytes = 0;
  for (const Message& message : request.messages) {
    const std::string text = MessageText(message);
    n_bytes += text.size();
    if (message.role == Role::kSystem) {
      instructions += text + "\n";
    } else if (message.role != Role::kUser) {
      return false;
    } else if (opening.empty()) {
      opening = LowerCase(std::string_view(text).substr(0, kOpeningBytes));
    }
  }
  if (opening.empty()) return false;
  const bool is_small = request.max_tokens && *request.max_tokens <= kSmallAnswerTokens;
  if (is_small && n_bytes <= kSmallPromptBytes) return true;
  if (instructions.size() > kShortInstructionsBytes) return false;
  const std::size_t begin = std::min(opening.find_first_not_of(" \t\r\n"), opening.size());
  return opening.compare(begin, kTaskOpening.size(), kTaskOpening) == 0 || NamesTask(opening) ||
         NamesTask(LowerCase(instructions));
}

void ApplyAgentHabits(ChatRequest* request) {
  DropBillingLines(request);
  request->side_request = IsSideRequest(*request);
}

}  // namespace larder
