// A hand-written twin of jinja2's regular expressions, rule by rule.
#include "text/jinja_lexer.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>

#include "text/jinja_meter.h"
#include "text/python_text.h"
#include "text/utf8.h"

namespace larder::jinja {
namespace {

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAsciiLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool IsNameByte(std::string_view source, std::size_t at, std::size_t* n_bytes) {
  const char c = source[at];
  *n_bytes = 1;
  if (IsAsciiLetter(c) || IsDigit(c) || c == '_') return true;
  if (static_cast<unsigned char>(c) < 0x80) return false;
  const Utf8Char wide = DecodeUtf8(source, at);
  *n_bytes = wide.n_bytes;
  return IsWordChar(wide.code_point);
}

// "\r\n" and "\r" become "\n"; one "\n" at the end goes.
std::string NormalizeSource(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      text += source[i];
      continue;
    }
    text += '\n';
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

int DigitOf(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : 99;
}

// Python's "unicode-escape" codec over a text whose characters beyond ASCII were written as
// backslash escapes before: a backslash in front of such a character takes the backslash only.
class Unescaper {
 public:
  Unescaper(std::string_view body, int line) : line_(line) {
    for (std::size_t at = 0; at < body.size();) {
      const Utf8Char c = DecodeUtf8(body, at);
      at += c.n_bytes;
      if (c.code_point < 0x80) {
        ascii_ += static_cast<char>(c.code_point);
      } else if (c.code_point < 0x100) {
        ascii_ += fmt::format("\\x{:02x}", c.code_point);
      } else if (c.code_point < 0x10000) {
        ascii_ += fmt::format("\\u{:04x}", c.code_point);
      } else {
        ascii_ += fmt::format("\\U{:08x}", c.code_point);
      }
    }
  }

  std::string Decode() {
    while (at_ < ascii_.size()) {
      const char c = ascii_[at_++];
      if (c == '\\' && at_ < ascii_.size()) {
        Escape(ascii_[at_++]);
      } else {
        out_ += c;
      }
    }
    return std::move(out_);
  }

 private:
  void Escape(char c) {
    constexpr std::string_view kFrom = "\\'\"abfnrtv", kTo = "\\'\"\a\b\f\n\r\t\v";
    const std::size_t simple = kFrom.find(c);
    if (c == '\n') return;
    if (simple != std::string_view::npos) {
      out_ += kTo[simple];
    } else if (c >= '0' && c <= '7') {
      --at_;
      std::uint32_t value = 0;
      for (int i = 0; i < 3 && at_ < ascii_.size() && ascii_[at_] >= '0' && ascii_[at_] <= '7';
           ++i) {
        value = value * 8 + static_cast<std::uint32_t>(ascii_[at_++] - '0');
      }
      AppendUtf8(value, out_);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      Hex(c == 'x' ? 2 : c == 'u' ? 4 : 8);
    } else if (c == 'N') {
      Fail(Fault::kUnsupported, "\\N{name} in a string is not supported; write the character",
           line_);
    } else {
      out_ += '\\';
      out_ += c;
    }
  }

  void Hex(int n_digits) {
    std::uint32_t value = 0;
    for (int i = 0; i < n_digits; ++i) {
      const int digit = at_ < ascii_.size() ? DigitOf(ascii_[at_]) : 99;
      if (digit > 15) Fail(Fault::kSyntax, "a string has a truncated \\x or \\u escape", line_);
      value = value * 16 + static_cast<std::uint32_t>(digit);
      ++at_;
    }
    if (value > 0x10ffff) Fail(Fault::kSyntax, "a string has an illegal Unicode character", line_);
    if (value >= 0xd800 && value <= 0xdfff) {
      Fail(Fault::kSyntax, "a string has a lone surrogate, which UTF-8 cannot hold", line_);
    }
    AppendUtf8(value, out_);
  }

  std::string ascii_, out_;
  std::size_t at_ = 0;
  int line_;
};

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(NormalizeSource(source)) {}

  std::vector<Token> Run() {
    while (at_ < source_.size()) Root();
    Add(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  bool Starts(std::string_view text) const {
    return std::string_view(source_).substr(at_, text.size()) == text;
  }
  std::string_view Rest() const { return std::string_view(source_).substr(at_); }

  void Add(TokenKind kind, std::string_view text) {
    Token token;
    token.kind = kind;
    token.line = line_;
    token.text = text;
    tokens_.push_back(std::move(token));
  }

  // Takes n bytes of the source; counts their lines.
  void Take(std::size_t n_bytes) {
    for (std::size_t i = at_; i < at_ + n_bytes; ++i) line_ += source_[i] == '\n';
    at_ += n_bytes;
    if (n_bytes > 0) line_starting_ = source_[at_ - 1] == '\n';
  }

  void TakeSpace() { Take(Rest().size() - StripSpace(Rest(), kLeft).size()); }

  // A tag's end behind `sign` ("-%}" and the like): takes what white space control eats after it.
  bool TakeEnd(std::string_view end, bool trims, bool plus_allowed) {
    const bool minus = Rest().size() > 0 && Rest()[0] == '-';
    const bool plus = plus_allowed && Rest().size() > 0 && Rest()[0] == '+';
    if (Rest().substr(minus || plus ? 1 : 0, 2) != end) return false;
    Take(end.size() + (minus || plus ? 1 : 0));
    if (minus) {
      TakeSpace();
    } else if (!plus && trims && Starts("\n")) {
      Take(1);
    }
    return true;
  }

  // Where in `text`, which ends before a tag with this sign, the data ends.
  std::string_view LeftStripped(std::string_view text, char sign, bool is_variable) const {
    if (sign == '-') return StripSpace(text, kRight);
    if (sign == '+' || is_variable) return text;
    const std::size_t line_begin = text.rfind('\n') + 1;
    if (line_begin == 0 && !line_starting_) return text;
    const std::string_view tail = text.substr(line_begin);
    const bool blank = !tail.empty() && StripSpace(tail, kLeft).empty();
    return blank ? text.substr(0, line_begin) : text;
  }

  void Data(std::size_t n_bytes, char sign, bool is_variable) {
    const std::string_view text = Rest().substr(0, n_bytes);
    const std::string_view kept = LeftStripped(text, sign, is_variable);
    if (!kept.empty()) Add(TokenKind::kData, kept);
    Take(n_bytes);
  }

  static char SignAt(std::string_view text, std::size_t at) {
    return at < text.size() && (text[at] == '-' || text[at] == '+') ? text[at] : ' ';
  }

  void Root() {
    std::size_t n = 0;
    const std::string_view rest = Rest();
    for (; n + 1 < rest.size(); ++n) {
      if (rest[n] == '{' && (rest[n + 1] == '%' || rest[n + 1] == '{' || rest[n + 1] == '#')) break;
    }
    if (n + 1 >= rest.size()) {
      Add(TokenKind::kData, rest);
      Take(rest.size());
      return;
    }
    const char type = rest[n + 1];
    const char sign = SignAt(rest, n + 2);
    Data(n, sign, type == '{');
    if (type == '%' && TakeRawBegin()) return Raw();
    const int line = line_;
    Take(sign == ' ' ? 2 : 3);
    if (type == '#') return Comment(line);
    const bool block = type == '%';
    Add(block ? TokenKind::kBlockBegin : TokenKind::kVariableBegin, "");
    Code(block);
  }

  // "{%- raw %}"; "-%}" eats the white space behind it.
  bool TakeRawBegin() {
    std::string_view rest = Rest();
    std::size_t n = SignAt(rest, 2) == ' ' ? 2 : 3;
    const auto skip_space = [&] { n = rest.size() - StripSpace(rest.substr(n), kLeft).size(); };
    skip_space();
    if (rest.substr(n, 3) != "raw") return false;
    n += 3;
    skip_space();
    const bool minus = rest.substr(n, 3) == "-%}";
    if (!minus && rest.substr(n, 2) != "%}") return false;
    n += minus ? 3 : 2;
    if (minus) skip_space();
    Take(n);
    return true;
  }

  void Raw() {
    const int line = line_;
    for (std::size_t n = Rest().find("{%"); n != std::string_view::npos;
         n = Rest().find("{%", n + 2)) {
      std::string_view rest = Rest();
      const char sign = SignAt(rest, n + 2);
      std::string_view tail = StripSpace(rest.substr(n + (sign == ' ' ? 2 : 3)), kLeft);
      if (tail.substr(0, 6) != "endraw") continue;
      tail = StripSpace(tail.substr(6), kLeft);
      const std::size_t skip = !tail.empty() && (tail[0] == '-' || tail[0] == '+') ? 1 : 0;
      if (tail.substr(skip, 2) != "%}") continue;
      const std::size_t end_at = rest.size() - tail.size();
      Data(n, sign, false);
      Take(end_at - n);
      TakeEnd("%}", true, true);
      return;
    }
    Fail(Fault::kSyntax, "missing end of raw block", line);
  }

  void Comment(int line) {
    const std::string_view rest = Rest();
    std::size_t n = rest.find("#}");
    if (n == std::string_view::npos) Fail(Fault::kSyntax, "missing end of comment", line);
    if (n > 0 && (rest[n - 1] == '-' || rest[n - 1] == '+')) --n;
    Take(n);
    TakeEnd("#}", true, true);
  }

  void Code(bool block) {
    const std::string_view end = block ? "%}" : "}}";
    while (at_ < source_.size()) {
      if (open_.empty() && TakeEndToken(end, block)) return;
      const std::size_t n_space = Rest().size() - StripSpace(Rest(), kLeft).size();
      if (n_space > 0) {
        Take(n_space);
      } else if (!Number() && !Name() && !Text()) {
        Operator();
      }
    }
  }

  bool TakeEndToken(std::string_view end, bool block) {
    const std::size_t n_before = tokens_.size();
    Add(block ? TokenKind::kBlockEnd : TokenKind::kVariableEnd, "");
    if (TakeEnd(end, block, block)) return true;
    tokens_.resize(n_before);
    return false;
  }

  // digits, each one but the first may have an underscore before it
  std::size_t Digits(std::size_t at, bool (*is_digit)(char)) const {
    std::size_t n = at;
    while (n < source_.size()) {
      if (is_digit(source_[n])) {
        ++n;
      } else if (n > at && source_[n] == '_' && n + 1 < source_.size() &&
                 is_digit(source_[n + 1])) {
        n += 2;
      } else {
        break;
      }
    }
    return n;
  }

  bool Number() {
    if (!IsDigit(source_[at_])) return false;
    return Float() || Integer();
  }

  bool Float() {
    if (at_ > 0 && source_[at_ - 1] == '.') return false;
    std::size_t n = Digits(at_, IsDigit);
    bool is_float = false;
    if (n + 1 < source_.size() && source_[n] == '.' && IsDigit(source_[n + 1])) {
      n = Digits(n + 1, IsDigit);
      is_float = true;
    }
    if (n < source_.size() && (source_[n] == 'e' || source_[n] == 'E')) {
      std::size_t e = n + 1;
      if (e < source_.size() && (source_[e] == '+' || source_[e] == '-')) ++e;
      if (e < source_.size() && IsDigit(source_[e])) {
        n = Digits(e, IsDigit);
        is_float = true;
      }
    }
    if (!is_float) return false;
    Add(TokenKind::kFloat, "");
    tokens_.back().real = std::strtod(WithoutUnderscores(n).c_str(), nullptr);
    Take(n - at_);
    return true;
  }

  std::string WithoutUnderscores(std::size_t end) const {
    std::string digits;
    for (std::size_t i = at_; i < end; ++i) {
      if (source_[i] != '_') digits += source_[i];
    }
    return digits;
  }

  // 0x, 0b and 0o; an underscore may follow the letter.
  std::size_t Prefixed(int* base) const {
    static constexpr bool (*kTests[])(char) = {[](char c) { return c == '0' || c == '1'; },
                                               [](char c) { return c >= '0' && c <= '7'; },
                                               [](char c) { return DigitOf(c) < 16; }};
    const std::string_view rest = Rest();
    if (rest.size() < 3 || rest[0] != '0') return 0;
    const std::size_t which = std::string_view("bBoOxX").find(rest[1]);
    if (which == std::string_view::npos) return 0;
    const std::size_t first = at_ + 2 + (rest[2] == '_' ? 1 : 0);
    const std::size_t end = Digits(first, kTests[which / 2]);
    if (end == first) return 0;
    *base = which / 2 == 0 ? 2 : which / 2 == 1 ? 8 : 16;
    return end;
  }

  bool Integer() {
    int base = 10;
    std::size_t end = Prefixed(&base);
    const bool prefixed = end != 0;
    if (!prefixed) {
      end = Digits(at_, source_[at_] == '0' ? +[](char c) { return c == '0'; } : IsDigit);
    }
    const std::string digits = WithoutUnderscores(end).substr(prefixed ? 2 : 0);
    Add(TokenKind::kInteger, "");
    const auto [stop, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), tokens_.back().integer, base);
    if (error != std::errc() || stop != digits.data() + digits.size()) {
      Fail(Fault::kUnsupported, fmt::format("the integer {} needs more than 64 bits", digits),
           line_);
    }
    Take(end - at_);
    return true;
  }

  bool Name() {
    std::size_t n = at_, n_bytes = 0;
    while (n < source_.size() && IsNameByte(source_, n, &n_bytes)) n += n_bytes;
    if (n == at_) return false;
    Add(TokenKind::kName, Rest().substr(0, n - at_));
    Take(n - at_);
    return true;
  }

  bool Text() {
    const char quote = source_[at_];
    if (quote != '\'' && quote != '"') return false;
    std::size_t n = at_ + 1;
    while (n < source_.size() && source_[n] != quote) n += source_[n] == '\\' ? 2 : 1;
    if (n >= source_.size()) return false;
    const std::string_view body = Rest().substr(1, n - at_ - 1);
    Add(TokenKind::kString, Unescaper(body, line_).Decode());
    Take(n + 1 - at_);
    return true;
  }

  void Operator() {
    static constexpr std::string_view kPairs[] = {"//", "**", "==", "!=", ">=", "<="};
    std::string_view found = Rest().substr(0, 1);
    for (const std::string_view pair : kPairs) {
      if (Starts(pair)) found = pair;
    }
    if (found.size() == 1 &&
        std::string_view("+-/*%~[](){}><=.:|,;").find(found) == std::string_view::npos) {
      std::string shown;
      AppendTextRepr(Rest().substr(0, DecodeUtf8(source_, at_).n_bytes), shown);
      Fail(Fault::kSyntax, fmt::format("unexpected character {}", shown), line_);
    }
    Balance(found[0]);
    Add(TokenKind::kOperator, found);
    Take(found.size());
  }

  void Balance(char c) {
    if (c == '(') open_ += ')';
    if (c == '[') open_ += ']';
    if (c == '{') open_ += '}';
    if (c != ')' && c != ']' && c != '}') return;
    if (open_.empty()) Fail(Fault::kSyntax, fmt::format("unexpected '{}'", c), line_);
    if (open_.back() != c) {
      Fail(Fault::kSyntax, fmt::format("unexpected '{}', expected '{}'", c, open_.back()), line_);
    }
    open_.pop_back();
  }

  const std::string source_;
  std::size_t at_ = 0;
  int line_ = 1;
  bool line_starting_ = true;
  std::string open_;  // the closing brackets that are due
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> Tokenize(std::string_view source) { return Lexer(source).Run(); }

}  // namespace larder::jinja
