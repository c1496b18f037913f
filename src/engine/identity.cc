// Engine::Identity, what kept states are bound to; and the digest of a model's files.
#include <sys/stat.h>

#include <algorithm>
#include <bit>

#include "engine/engine_impl.h"

namespace larder {

namespace {

constexpr std::uint64_t kHeadBytes = std::uint64_t{1} << 20;
constexpr std::uint64_t kSampleBytes = 4096;
constexpr std::uint64_t kSamples = 64;

Status AddTime(const File& file, Sha256* hash) {
  struct stat info {};
  if (fstat(file.cached_fd(), &info) != 0) return IoError("{} cannot be read", file.path());
  hash->AddNumber(static_cast<std::uint64_t>(info.st_mtim.tv_sec));
  hash->AddNumber(static_cast<std::uint64_t>(info.st_mtim.tv_nsec));
  return Status::Ok();
}

Status AddContents(const File& file, Sha256* hash) {
  hash->AddNumber(file.size_bytes());
  std::vector<std::byte> bytes;
  const auto add = [&](std::uint64_t offset, std::uint64_t most) -> Status {
    bytes.resize(static_cast<std::size_t>(std::min(most, file.size_bytes() - offset)));
    LARDER_RETURN_IF_ERROR(file.ReadAt(offset, bytes.data(), bytes.size()));
    hash->Add(bytes);
    return Status::Ok();
  };
  LARDER_RETURN_IF_ERROR(add(0, kHeadBytes));
  for (std::uint64_t i = 1; i <= kSamples; ++i) {
    const std::uint64_t offset = file.size_bytes() / (kSamples + 1) * i;
    LARDER_RETURN_IF_ERROR(add(offset, kSampleBytes));
  }
  return Status::Ok();
}

}  // namespace

Result<Sha256Digest> Engine::Identity() const {
  Sha256 hash;
  // Another build may sum in another order. Its file's size and time tell builds apart.
  struct stat program {};
  if (stat("/proc/self/exe", &program) != 0) return IoError("/proc/self/exe cannot be read");
  hash.AddNumber(static_cast<std::uint64_t>(program.st_size));
  hash.AddNumber(static_cast<std::uint64_t>(program.st_mtim.tv_sec));
  hash.AddNumber(static_cast<std::uint64_t>(program.st_mtim.tv_nsec));
  hash.Add(std::string(IsaName(impl_->plan.isa)));
  hash.AddNumber(static_cast<std::uint64_t>(impl_->plan.kv_dtype));
  hash.AddNumber(static_cast<std::uint64_t>(shape().n_used));
  hash.AddNumber(std::bit_cast<std::uint32_t>(impl_->expert_mass));
  const TensorDirectory& tensors = impl_->file.tensors;
  for (int i = 0; i < tensors.n_files(); ++i) {
    LARDER_RETURN_IF_ERROR(AddTime(tensors.file(i), &hash));
    LARDER_RETURN_IF_ERROR(AddContents(tensors.file(i), &hash));
  }
  return hash.Finish();
}

Result<Sha256Digest> Engine::FilesDigest() const {
  Sha256 hash;
  const TensorDirectory& tensors = impl_->file.tensors;
  for (int i = 0; i < tensors.n_files(); ++i) {
    LARDER_RETURN_IF_ERROR(AddContents(tensors.file(i), &hash));
  }
  return hash.Finish();
}

}  // namespace larder
