// Words and numbers.
#include "cli/number_list.h"

#include <algorithm>
#include <charconv>

namespace larder {

std::vector<std::string> SplitList(const std::string& text) {
  std::vector<std::string> words;
  std::size_t begin = 0;
  while (begin <= text.size()) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    if (end > begin) words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

Result<std::vector<std::int64_t>> ParseNumberList(const char* option, const std::string& text) {
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  std::vector<std::int64_t> numbers;
  for (const std::string& word : SplitList(text)) {
    std::int64_t value = 0;
    const char* end = word.data() + word.size();
    const auto [stop, error] = std::from_chars(word.data(), end, value);
    if (error != std::errc() || stop != end || value < 0 || value > kMost) {
      return InvalidArgument("{} must be whole numbers from 0 to {}, as in 512,2048, not '{}'",
                             option, kMost, word);
    }
    numbers.push_back(value);
  }
  if (numbers.empty()) return InvalidArgument("{} names no number", option);
  return numbers;
}

}  // namespace larder
