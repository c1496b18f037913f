// GGUF's tokenizer.ggml.token_type. A plain value.
#pragma once

#include <cstdint>

namespace larder {

enum class TokenType : std::uint8_t {
  kNormal = 1,
  kUnknown = 2,
  kControl = 3,      // <|im_end|> and the like: matched only where parse_special asks for it
  kUserDefined = 4,  // added tokens: always matched, before any splitting
  kUnused = 5,
  kByte = 6,
};

}  // namespace larder
