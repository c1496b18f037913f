// The .npy header and rows.
#include "cli/npy_writer.h"

#include <fmt/format.h>

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

Result<std::unique_ptr<NpyWriter>> NpyWriter::Create(const std::string& path, std::int64_t n_rows,
                                                     std::int64_t n_cols) {
  LARDER_ASSIGN_OR_RETURN(std::unique_ptr<ReplacingFile> file, ReplacingFile::Create(path));
  const std::string header = Header(n_rows, n_cols);
  LARDER_RETURN_IF_ERROR(file->Write(header.data(), header.size()));
  return std::unique_ptr<NpyWriter>(new NpyWriter(std::move(file)));
}

Status NpyWriter::Write(std::span<const float> values) {
  return file_->Write(values.data(), values.size_bytes());
}

}  // namespace larder
