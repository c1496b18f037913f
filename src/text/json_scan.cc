// One byte of JSON after the other.
#include "text/json_scan.h"

#include "text/message_json.h"

namespace larder {

namespace {

bool IsBlank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// What numbers, true, false and null are made of.
bool IsBare(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == '+' || c == '.' ||
         c == 'E';
}

}  // namespace

JsonScanner::State JsonScanner::FeedString(char c) {
  if (escaped_) {
    escaped_ = false;
  } else if (c == '\\') {
    escaped_ = true;
  } else if (c == '"') {
    in_string_ = false;
    return open_.empty() ? State::kDone : State::kMore;
  }
  return State::kMore;
}

JsonScanner::State JsonScanner::Feed(char c) {
  if (in_string_) return FeedString(c);
  if (is_bare_ && open_.empty() && !IsBare(c)) return State::kDoneBefore;
  if (IsBlank(c)) return State::kMore;
  const bool first = !started_;
  started_ = true;
  if (c == '"') {
    is_text_ = first;
    in_string_ = true;
    return State::kMore;
  }
  if (c == '{' || c == '[') {
    if (open_.size() >= static_cast<std::size_t>(kMaxJsonDepth)) return State::kBad;
    open_ += c;
    return State::kMore;
  }
  if (c == '}' || c == ']') {
    if (open_.empty() || open_.back() != (c == '}' ? '{' : '[')) return State::kBad;
    open_.pop_back();
    return open_.empty() ? State::kDone : State::kMore;
  }
  if (first) is_bare_ = true;
  if (IsBare(c)) return State::kMore;
  return !open_.empty() && (c == ',' || c == ':') ? State::kMore : State::kBad;
}

void AppendJsonByte(const JsonScanner& scanner, char c, std::string* out) {
  const auto byte = static_cast<unsigned char>(c);
  if (!scanner.in_string() || byte >= 0x20) {
    *out += c;
  } else if (c == '\n') {
    *out += "\\n";
  } else if (c == '\t') {
    *out += "\\t";
  } else {
    static constexpr char kHex[] = "0123456789abcdef";
    *out += {'\\', 'u', '0', '0', kHex[byte >> 4], kHex[byte & 15]};
  }
}

}  // namespace larder
