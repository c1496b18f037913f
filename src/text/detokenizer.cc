// What a token adds goes behind what is held; whatever is whole then goes out.
#include "text/detokenizer.h"

#include <utility>

#include "text/utf8.h"

namespace larder {

std::string StreamDecoder::Push(std::int32_t token) {
  if (!render_special_ && tokenizer_.IsControl(token)) return {};
  held_ += tokenizer_.TokenBytes(token);
  std::string whole = held_.substr(0, held_.size() - UnfinishedUtf8Bytes(held_));
  held_.erase(0, whole.size());
  return whole;
}

std::string StreamDecoder::Flush() { return std::exchange(held_, std::string()); }

}  // namespace larder
