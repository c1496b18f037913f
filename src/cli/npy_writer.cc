// The .npy header and rows.
#include "cli/npy_writer.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "format/gguf_writer.h"

namespace larder {

namespace {

// Magic, version, length, a dict in Python's notation, padded so that data begins at 64 bytes.
std::string Header(std::int64_t n_rows, std::int64_t n_cols) {
  std::string dict = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}, {}), }}",
                                 n_rows, n_cols);
  constexpr std::size_t kPrefixBytes = 10;
  while ((kPrefixBytes + dict.size() + 1) % 64 != 0) dict += ' ';
  dict += '\n';
  std::string header("\x93NUMPY\x01\x00", 8);
  header += static_cast<char>(dict.size() & 0xff);
  header += static_cast<char>(dict.size() >> 8);
  return header + dict;
}

}  // namespace

NpyWriter::NpyWriter(std::string path, std::FILE* file) : path_(std::move(path)), file_(file) {}

NpyWriter::~NpyWriter() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  std::remove((path_ + ".tmp").c_str());
}

Result<std::unique_ptr<NpyWriter>> NpyWriter::Create(const std::string& path, std::int64_t n_rows,
                                                     std::int64_t n_cols) {
  LARDER_RETURN_IF_ERROR(CheckOutputPath(path));
  std::FILE* file = std::fopen((path + ".tmp").c_str(), "wb");
  if (file == nullptr) return IoError("cannot write {}: {}", path, std::strerror(errno));
  std::unique_ptr<NpyWriter> writer(new NpyWriter(path, file));
  const std::string header = Header(n_rows, n_cols);
  if (std::fwrite(header.data(), 1, header.size(), file) != header.size()) {
    return IoError("cannot write {}: {}", path, std::strerror(errno));
  }
  return writer;
}

Status NpyWriter::Write(std::span<const float> values) {
  if (std::fwrite(values.data(), sizeof(float), values.size(), file_) == values.size()) {
    return Status::Ok();
  }
  return IoError("cannot write {}: {}", path_, std::strerror(errno));
}

Status NpyWriter::Finish() {
  const bool closed = std::fclose(std::exchange(file_, nullptr)) == 0;
  if (closed && std::rename((path_ + ".tmp").c_str(), path_.c_str()) == 0) return Status::Ok();
  const Status failed = IoError("cannot write {}: {}", path_, std::strerror(errno));
  std::remove((path_ + ".tmp").c_str());
  return failed;
}

}  // namespace larder
