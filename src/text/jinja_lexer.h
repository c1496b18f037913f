// Template source to tokens, white space control included: trim_blocks and lstrip_blocks on, one
// line end at the end of the source dropped, as transformers sets jinja2 up. Pure function.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace larder::jinja {

enum class TokenKind : std::uint8_t {
  kData,
  kBlockBegin,
  kBlockEnd,
  kVariableBegin,
  kVariableEnd,
  kName,
  kString,
  kInteger,
  kFloat,
  kOperator,  // text is the operator
  kEnd,
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  int line = 1;
  std::string text;  // of data, names, operators; a string's value
  std::int64_t integer = 0;
  double real = 0;

  bool Is(TokenKind wanted, std::string_view value) const {
    return kind == wanted && text == value;
  }
};

/// The last token is kEnd. Throws Error (kSyntax) with the line.
std::vector<Token> Tokenize(std::string_view source);

}  // namespace larder::jinja
