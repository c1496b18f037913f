// Reads C++ just well enough to find functions: blanks out what is not code, then matches braces.
#include <algorithm>
#include <cctype>
#include <string>
#include <utility>

#include "style_checks.h"

namespace larder::style {

namespace {

bool IsWordChar(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool IsSpace(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

// Overwrites parts of a text with spaces while walking over it.
class Blanker {
 public:
  explicit Blanker(std::string_view text) : text_(text), out_(text) {}

  std::string Run() {
    while (at_ < text_.size()) Step();
    return std::move(out_);
  }

 private:
  void Step() {
    const char c = text_[at_];
    if (c == '\n') {
      line_is_blank_ = true;
      ++at_;
      return;
    }
    if (Sees("//")) return BlankTo(EndOfLine(at_));
    if (Sees("/*")) return BlankTo(After("*/", at_ + 2));
    if (c == '#' && line_is_blank_) return BlankTo(EndOfLine(at_));
    if (!IsSpace(c)) line_is_blank_ = false;
    if (c == '"') return StartsRawString() ? BlankTo(EndOfRawString()) : BlankTo(EndOfQuoted('"'));
    // An apostrophe after a digit separates digits: 1'000'000.
    if (c == '\'' && !(at_ > 0 && IsWordChar(text_[at_ - 1]) && !IsEncodingPrefix())) {
      return BlankTo(EndOfQuoted('\''));
    }
    ++at_;
  }

  bool Sees(std::string_view what) const { return text_.substr(at_, what.size()) == what; }

  std::size_t After(std::string_view what, std::size_t from) const {
    const std::size_t found = text_.find(what, from);
    return found == std::string_view::npos ? text_.size() : found + what.size();
  }

  std::size_t EndOfLine(std::size_t from) const {
    std::size_t end = text_.find('\n', from);
    while (end != std::string_view::npos && end > 0 && text_[end - 1] == '\\') {
      end = text_.find('\n', end + 1);
    }
    return end == std::string_view::npos ? text_.size() : end;
  }

  std::size_t EndOfQuoted(char quote) const {
    std::size_t i = at_ + 1;
    while (i < text_.size() && text_[i] != quote && text_[i] != '\n') i += text_[i] == '\\' ? 2 : 1;
    return std::min(text_.size(), i + 1);
  }

  // u8'x', L'x' and the like, as against the digits of 0xff'ff.
  bool IsEncodingPrefix() const {
    std::size_t start = at_;
    while (start > 0 && IsWordChar(text_[start - 1])) --start;
    const std::string_view word = text_.substr(start, at_ - start);
    return word == "u8" || word == "u" || word == "U" || word == "L";
  }

  bool StartsRawString() const { return at_ > 0 && text_[at_ - 1] == 'R'; }

  std::size_t EndOfRawString() const {
    const std::size_t open = text_.find('(', at_);
    if (open == std::string_view::npos) return text_.size();
    const std::string close = ")" + std::string(text_.substr(at_ + 1, open - at_ - 1)) + "\"";
    return After(close, open);
  }

  void BlankTo(std::size_t end) {
    for (; at_ < end; ++at_) {
      if (text_[at_] != '\n') out_[at_] = ' ';
    }
  }

  std::string_view text_;
  std::string out_;
  std::size_t at_ = 0;
  bool line_is_blank_ = true;
};

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

std::string_view FirstWord(std::string_view text) {
  std::size_t end = 0;
  while (end < text.size() && IsWordChar(text[end])) ++end;
  return text.substr(0, end);
}

// Drops a bracketed part that opens the text; nested brackets of the same kind are counted.
std::string_view DropBracketed(std::string_view text, char open, char close) {
  int depth = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == open) ++depth;
    if (text[i] == close && --depth == 0) return Trim(text.substr(i + 1));
  }
  return {};
}

// The first word of a declaration that is not a template header or an attribute.
std::string_view LeadingKeyword(std::string_view header) {
  header = Trim(header);
  while (FirstWord(header) == "template") {
    header = DropBracketed(Trim(header.substr(8)), '<', '>');
  }
  while (!header.empty() && header.front() == '[') header = DropBracketed(header, '[', ']');
  return FirstWord(header);
}

enum class Scope { kOuter, kFunction, kInitialiser };

// Walks over blanked code. `header` is the text since the last statement or body ended.
class FunctionFinder {
 public:
  explicit FunctionFinder(std::string_view code) : code_(code) {}

  std::vector<FunctionSpan> Run(bool* balanced) {
    bool good = true;
    for (at_ = 0; at_ < code_.size(); ++at_) {
      const char c = code_[at_];
      if (c == '\n') ++line_;
      if (c == '(') ++n_open_parens_;
      if (c == ')') --n_open_parens_;
      if (c == '{') Open();
      if (c == '}') good = Close() && good;
      if (InOuterScope() && n_open_parens_ == 0 && (c == ';' || IsAccessColon())) StartHeader();
    }
    if (balanced != nullptr) *balanced = good && scopes_.empty() && n_open_parens_ == 0;
    return std::move(functions_);
  }

 private:
  bool InOuterScope() const { return scopes_.empty() || scopes_.back() == Scope::kOuter; }

  bool IsAccessColon() const {
    if (code_[at_] != ':') return false;
    const std::string_view word = Trim(Header());
    return word == "public" || word == "private" || word == "protected";
  }

  std::string_view Header() const { return code_.substr(header_start_, at_ - header_start_); }

  void StartHeader() {
    header_start_ = at_ + 1;
    header_line_ = line_;
  }

  Scope Classify() const {
    const std::string_view header = Header();
    const std::string_view trimmed = Trim(header);
    if (n_open_parens_ > 0) return Scope::kInitialiser;
    const std::string_view keyword = LeadingKeyword(header);
    if (keyword == "namespace" || keyword == "inline" || keyword == "extern") {
      if (trimmed.find('(') == std::string_view::npos) return Scope::kOuter;
    }
    if (keyword == "class" || keyword == "struct" || keyword == "union" || keyword == "enum") {
      return trimmed.back() == '=' ? Scope::kInitialiser : Scope::kOuter;
    }
    const bool attached = at_ > 0 && !IsSpace(code_[at_ - 1]) && code_[at_ - 1] != ')';
    if (attached || trimmed.empty()) return Scope::kInitialiser;
    if (trimmed.back() == '=' || trimmed.back() == ',') return Scope::kInitialiser;
    return trimmed.find('(') == std::string_view::npos ? Scope::kInitialiser : Scope::kFunction;
  }

  void Open() {
    const bool outer = InOuterScope();
    const Scope scope = outer ? Classify() : scopes_.back();
    scopes_.push_back(scope);
    if (outer && scope == Scope::kFunction) {
      functions_.push_back({NameFromHeader(), SignatureLine(), 0});
    }
    if (scope == Scope::kOuter) StartHeader();
  }

  bool Close() {
    if (scopes_.empty()) return false;
    const Scope scope = scopes_.back();
    scopes_.pop_back();
    if (!InOuterScope()) return true;
    if (scope == Scope::kFunction) functions_.back().last_line = line_;
    // An initialiser is part of a longer declaration: `: a_{1}, b_{2} {`.
    if (scope != Scope::kInitialiser) StartHeader();
    return true;
  }

  // Line of the signature: leading blank lines and lines that are one macro alone do not count.
  int SignatureLine() const {
    std::string_view header = Header();
    int line = header_line_;
    while (true) {
      const std::size_t end = header.find('\n');
      if (end == std::string_view::npos) return line;
      const std::string_view first = Trim(header.substr(0, end));
      const bool is_macro = std::all_of(first.begin(), first.end(), [](char c) {
        return std::isupper(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '(' ||
               c == ')' || c == ' ' || std::isdigit(static_cast<unsigned char>(c)) != 0;
      });
      if (!is_macro) return line;
      header.remove_prefix(end + 1);
      ++line;
    }
  }

  // The word before the parenthesis that opens the parameters.
  std::string NameFromHeader() const {
    const std::string_view header = Trim(Header());
    std::size_t paren = header.find('(');
    std::size_t start = paren;
    while (start > 0 && (IsWordChar(header[start - 1]) || header[start - 1] == ':' ||
                         header[start - 1] == '~')) {
      --start;
    }
    const std::string_view name = header.substr(start, paren - start);
    // For TEST(Suite, Case) the arguments are the name.
    if (name.rfind("TEST", 0) == 0 || name.rfind("TYPED_TEST", 0) == 0) {
      return std::string(header.substr(start, header.find(')') + 1 - start));
    }
    return std::string(name.empty() ? "operator" : name);
  }

  std::string_view code_;
  std::size_t at_ = 0;
  int line_ = 1;
  int n_open_parens_ = 0;
  std::size_t header_start_ = 0;
  int header_line_ = 1;
  std::vector<Scope> scopes_;
  std::vector<FunctionSpan> functions_;
};

int CountLines(std::string_view text) {
  const auto breaks = static_cast<int>(std::count(text.begin(), text.end(), '\n'));
  return text.empty() || text.back() == '\n' ? breaks : breaks + 1;
}

}  // namespace

std::string BlankOutNonCode(std::string_view text) { return Blanker(text).Run(); }

std::vector<FunctionSpan> FindFunctions(std::string_view text, bool* balanced) {
  const std::string code = BlankOutNonCode(text);
  return FunctionFinder(code).Run(balanced);
}

std::vector<std::string> CheckFileLength(const std::string& path, std::string_view text) {
  const int n_lines = CountLines(text);
  if (n_lines <= kMaxFileLines) return {};
  return {path + ": " + std::to_string(n_lines) + " lines; a file has at most " +
          std::to_string(kMaxFileLines)};
}

std::vector<std::string> CheckFunctionLengths(const std::string& path, std::string_view text) {
  bool balanced = true;
  std::vector<std::string> complaints;
  for (const FunctionSpan& function : FindFunctions(text, &balanced)) {
    if (function.n_lines() <= kMaxFunctionLines) continue;
    complaints.push_back(path + ":" + std::to_string(function.first_line) + ": " + function.name +
                         " has " + std::to_string(function.n_lines()) +
                         " lines; a function has at most " + std::to_string(kMaxFunctionLines));
  }
  if (!balanced)
    complaints.push_back(path + ":1: braces do not balance (an #if around half a body?)");
  return complaints;
}

std::vector<std::string> CheckOpening(const std::string& path, std::string_view text) {
  if (text.rfind("//", 0) == 0) return {};
  return {path + ":1: a file opens with a paragraph of // lines that says what it is"};
}

}  // namespace larder::style
