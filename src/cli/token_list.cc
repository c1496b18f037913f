// Parsing of ids, reading of texts.
#include "cli/token_list.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string_view>

#include "base/size.h"
#include "text/utf8.h"

namespace larder {

namespace {

Result<std::string> ReadStream(std::FILE* stream, const std::string& name) {
  std::string text;
  char buffer[65536];
  while (const std::size_t n = std::fread(buffer, 1, sizeof(buffer), stream))
    text.append(buffer, n);
  if (std::ferror(stream) != 0) return IoError("cannot read {}: {}", name, std::strerror(errno));
  return text;
}

}  // namespace

Result<std::string> ReadStdin() { return ReadStream(stdin, "stdin"); }

Status CheckUtf8(std::string_view text, std::string_view what) {
  const std::size_t at = FindInvalidUtf8(text);
  if (at == std::string_view::npos) return Status::Ok();
  return InvalidArgument("{} is no text in UTF-8 (byte {} is 0x{:02x}); convert it, as iconv does",
                         what, at + 1, static_cast<unsigned char>(text[at]));
}

Result<std::string> ReadTextFile(const std::string& path) {
  const auto close = [](std::FILE* file) { std::fclose(file); };
  std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "rb"), close);
  if (file == nullptr) {
    if (errno == ENOENT) return NotFound("there is no file {}; check the name", path);
    return IoError("cannot open {}: {}", path, std::strerror(errno));
  }
  return ReadStream(file.get(), path);
}

Result<std::string> ReadRegularFile(const std::string& path, std::uint64_t most_bytes) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (std::filesystem::exists(status)) {
    if (std::filesystem::is_directory(status)) return InvalidArgument("{} is a folder", path);
    if (!std::filesystem::is_regular_file(status)) return InvalidArgument("{} is no file", path);
    if (std::filesystem::file_size(path, error) > most_bytes && !error) {
      return InvalidArgument("{} is larger than {}", path, FormatBytes(most_bytes));
    }
  }
  return ReadTextFile(path);
}

std::string TokensFile(const std::string& text) {
  return text.rfind('@', 0) == 0 ? text.substr(1) : "";
}

Result<std::vector<std::int32_t>> ParseTokenIds(const std::string& text) {
  std::string ids_text = text;
  if (const std::string path = TokensFile(text); !path.empty()) {
    LARDER_ASSIGN_OR_RETURN(ids_text, ReadTextFile(path));
  }
  constexpr const char* kSeparators = ", \t\r\n";
  std::vector<std::int32_t> ids;
  std::size_t begin = ids_text.find_first_not_of(kSeparators);
  while (begin != std::string::npos) {
    const std::size_t end = std::min(ids_text.find_first_of(kSeparators, begin), ids_text.size());
    std::int32_t id = 0;
    const char* last = ids_text.data() + end;
    const auto [stop, error] = std::from_chars(ids_text.data() + begin, last, id);
    if (error != std::errc() || stop != last) {
      return InvalidArgument("'{}' is not a token id; write whole numbers such as 1,2,3",
                             ids_text.substr(begin, end - begin));
    }
    ids.push_back(id);
    begin = ids_text.find_first_not_of(kSeparators, end);
    const auto gap = std::string_view(ids_text).substr(end, std::min(begin, ids_text.size()) - end);
    if (std::count(gap.begin(), gap.end(), ',') > 1) {
      return InvalidArgument("a token id is missing beside a comma; write 1,2,3");
    }
  }
  return ids;
}

}  // namespace larder
