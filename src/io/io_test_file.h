// A temporary file of pseudo-random bytes for the tests of this room; removed with the object.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "io/file.h"

namespace larder {

class IoTestFile {
 public:
  explicit IoTestFile(std::size_t size_bytes) : contents_(size_bytes) {
    SplitMix64 random(size_bytes + 1);
    for (std::byte& byte : contents_) byte = static_cast<std::byte>(random.Next());
    std::string path = ::testing::TempDir() + "larder_io_XXXXXX";
    const int fd = mkstemp(path.data());
    EXPECT_GE(fd, 0);
    close(fd);
    path_ = path;
    std::ofstream out(path_, std::ios::binary);
    out.write(reinterpret_cast<const char*>(contents_.data()),
              static_cast<std::streamsize>(size_bytes));
    out.close();
    auto file = File::Open(path_);
    EXPECT_TRUE(file.ok()) << file.status().message();
    if (file.ok()) file_ = std::move(file).value();
  }
  ~IoTestFile() { unlink(path_.c_str()); }
  IoTestFile(const IoTestFile&) = delete;
  IoTestFile& operator=(const IoTestFile&) = delete;

  const File& file() const { return *file_; }
  const std::string& path() const { return path_; }
  const std::vector<std::byte>& contents() const { return contents_; }

 private:
  std::string path_;
  std::vector<std::byte> contents_;
  std::unique_ptr<File> file_;
};

}  // namespace larder
