// Builds GGUF bytes field by field for the tests, right or wrong, independently of the writer.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace larder {

class GgufBytes {
 public:
  template <typename T>
  GgufBytes& Put(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof(value));
    return *this;
  }
  GgufBytes& U32(std::uint32_t value) { return Put(value); }
  GgufBytes& U64(std::uint64_t value) { return Put(value); }
  GgufBytes& Raw(const std::string& bytes) {
    bytes_ += bytes;
    return *this;
  }
  GgufBytes& Text(const std::string& text) { return U64(text.size()).Raw(text); }
  GgufBytes& Preamble(std::uint64_t n_tensors, std::uint64_t n_keys) {
    return Raw("GGUF").U32(3).U64(n_tensors).U64(n_keys);
  }
  GgufBytes& KeyU32(const std::string& key, std::uint32_t value) {
    return Text(key).U32(4).U32(value);
  }
  GgufBytes& Tensor(const std::string& name, const std::vector<std::uint64_t>& dims,
                    std::uint32_t type, std::uint64_t offset) {
    Text(name).U32(static_cast<std::uint32_t>(dims.size()));
    for (const std::uint64_t dim : dims) U64(dim);
    return U32(type).U64(offset);
  }
  GgufBytes& Pad(std::size_t alignment = 32) {
    while (bytes_.size() % alignment != 0) bytes_ += '\0';
    return *this;
  }
  GgufBytes& Zeros(std::size_t n) { return Raw(std::string(n, '\0')); }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

/// A folder that is removed with all in it.
class TestFolder {
 public:
  TestFolder() {
    path_ = ::testing::TempDir() + "larder_format_XXXXXX";
    EXPECT_NE(mkdtemp(path_.data()), nullptr);
  }
  ~TestFolder() {
    const std::string command = "rm -rf '" + path_ + "'";
    EXPECT_EQ(std::system(command.c_str()), 0);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  std::string Path(const std::string& name) const { return path_ + "/" + name; }
  /// Writes a file and returns its path.
  std::string Write(const std::string& name, const std::string& bytes) const {
    std::ofstream out(Path(name), std::ios::binary);
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return Path(name);
  }

 private:
  std::string path_;
};

}  // namespace larder
