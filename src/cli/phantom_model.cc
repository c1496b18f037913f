// memfd_create, a header, and ftruncate.
#include "cli/phantom_model.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "format/gguf_header_writer.h"

namespace larder {

namespace {

Status WriteAll(int fd, const std::string& bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = write(fd, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return IoError("cannot keep a model's header in memory: {}", std::strerror(errno));
    done += static_cast<std::size_t>(n);
  }
  return Status::Ok();
}

}  // namespace

PhantomModel::PhantomModel(int fd, std::uint64_t size_bytes)
    : fd_(fd), path_(fmt::format("/proc/self/fd/{}", fd)), size_bytes_(size_bytes) {}

PhantomModel::PhantomModel(PhantomModel&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      size_bytes_(other.size_bytes_) {}

PhantomModel::~PhantomModel() {
  if (fd_ >= 0) close(fd_);
}

Result<PhantomModel> PhantomModel::Make(const Metadata& metadata,
                                        const std::vector<GgufWriter::TensorDeclaration>& tensors) {
  LARDER_ASSIGN_OR_RETURN(const GgufHeader header, MakeGgufHeader(metadata, tensors, 32));
  const int fd = memfd_create("larder-plan", MFD_CLOEXEC);
  if (fd < 0) return IoError("cannot make a file in memory: {}", std::strerror(errno));
  PhantomModel model(fd, header.file_size_bytes);
  LARDER_RETURN_IF_ERROR(WriteAll(fd, header.bytes));
  if (ftruncate(fd, static_cast<off_t>(header.file_size_bytes)) != 0) {
    return IoError("cannot make a file of {} bytes in memory: {}; raise ulimit -f",
                   header.file_size_bytes, std::strerror(errno));
  }
  return model;
}

Result<PhantomModel> PhantomModel::FromShape(const SynthShape& shape, QuantizeTypes types) {
  Metadata metadata = SynthMetadata(shape);
  AddSynthVocabulary(shape.n_vocab, &metadata);
  std::vector<GgufWriter::TensorDeclaration> declarations;
  for (SynthTensor& tensor : SynthTensors(shape, types.experts, types.dense)) {
    tensor.declaration.dtype = TypeThatFits(tensor.declaration.dtype, tensor.declaration.dims[0]);
    declarations.push_back(std::move(tensor.declaration));
  }
  return Make(metadata, declarations);
}

Result<PhantomModel> PhantomModel::FromFile(const GgufModel& file, QuantizeTypes types) {
  std::vector<GgufWriter::TensorDeclaration> declarations;
  for (const TensorPlan& plan : PlanQuantization(file.tensors, types)) {
    const TensorInfo& source = *plan.source;
    declarations.push_back(
        {source.name, plan.target, {source.dims.begin(), source.dims.begin() + source.n_dims}});
  }
  return Make(QuantizedMetadata(file.metadata, types), declarations);
}

}  // namespace larder
