// Header, tensor infos and the checks on where tensors lie. Source: the GGUF specification, v3.
#include "format/gguf_parser.h"

#include <algorithm>
#include <string_view>
#include <unordered_set>

#include "base/memory.h"
#include "format/gguf_metadata_parser.h"
#include "format/header_cursor.h"
#include "format/printable.h"

namespace larder {

namespace {

constexpr std::uint32_t kVersion = 3;
constexpr std::uint64_t kMaxNameBytes = 1024;
constexpr std::uint64_t kMinTensorInfoBytes = 8 + 4 + 8 + 4 + 8;
constexpr std::uint64_t kDefaultAlignment = 32;

struct Preamble {
  std::uint64_t n_tensors = 0;
  std::uint64_t n_keys = 0;
};

// What people give instead of a GGUF file, by its first bytes.
Status NotGguf(const std::string& name, std::string_view head) {
  const auto starts = [&](std::string_view text) { return head.substr(0, text.size()) == text; };
  if (head.empty()) return DataError("{} is empty; download it again", name);
  if (head.size() >= 8 && head.find_first_not_of('\0') == std::string_view::npos) {
    return DataError("{} begins with zeros: its download was not finished; download it again",
                     name);
  }
  if (starts("version https://git-lfs")) {
    return DataError("{} is a Git LFS pointer, not the model; fetch it with git lfs pull", name);
  }
  if (starts("<")) return DataError("{} is a web page, not a model; download it again", name);
  if (starts("PK\x03\x04")) {
    return DataError("{} is an archive or a PyTorch file, not GGUF; convert it to GGUF", name);
  }
  if (starts("ggml") || starts("lmgg") || starts("tjgg") || starts("fmgg") || starts("algg")) {
    return DataError("{} is in a format older than GGUF; get the model as GGUF", name);
  }
  if (head.size() > 8 && head[8] == '{') {
    return DataError("{} is a safetensors file, not GGUF; convert it to GGUF", name);
  }
  return DataError("{} is not a GGUF file; give a model in GGUF format", name);
}

Status CheckMagic(const ByteSource& source, const std::string& name) {
  char head[32];
  const auto n =
      static_cast<std::size_t>(std::min<std::uint64_t>(sizeof(head), source.size_bytes()));
  LARDER_RETURN_IF_ERROR(source.ReadAt(0, head, n));
  const std::string_view text(head, n);
  if (text.substr(0, 4) == "GGUF") return Status::Ok();
  if (!text.empty() && text.size() < 4 && std::string_view("GGUF").substr(0, n) == text) {
    return DataError("{} is truncated after {} bytes; download it again", name, n);
  }
  return NotGguf(name, text);
}

Status CheckVersion(std::uint32_t version, const std::string& name) {
  if (version == kVersion) return Status::Ok();
  if (version != 0 && (version & 0xffff) == 0) {
    return Unsupported("{} is a big-endian GGUF file; get the little-endian one", name);
  }
  if (version == 1 || version == 2) {
    return Unsupported("{} is a GGUF file of the old version {}; get or convert one of version 3",
                       name, version);
  }
  return Unsupported(
      "{} says GGUF version {} and Larder reads version 3; get it in version 3, or download it "
      "again",
      name, version);
}

Result<Preamble> ReadPreamble(HeaderCursor& cursor) {
  std::uint32_t magic = 0;
  std::uint32_t version = 0;
  Preamble preamble;
  LARDER_RETURN_IF_ERROR(cursor.Read(&magic));
  LARDER_RETURN_IF_ERROR(cursor.Read(&version));
  LARDER_RETURN_IF_ERROR(CheckVersion(version, cursor.name()));
  LARDER_RETURN_IF_ERROR(cursor.Read(&preamble.n_tensors));
  LARDER_RETURN_IF_ERROR(cursor.Read(&preamble.n_keys));
  cursor.set_place("the list of tensors");
  LARDER_RETURN_IF_ERROR(cursor.CheckCount(preamble.n_tensors, kMinTensorInfoBytes));
  return preamble;
}

Result<std::uint32_t> ReadAlignment(const HeaderCursor& cursor, const Metadata& metadata) {
  const auto alignment = metadata.GetUintOr("general.alignment", kDefaultAlignment);
  if (!alignment.ok()) return alignment.status().WithContext(cursor.name());
  if (!IsGgufAlignment(*alignment)) {
    return cursor.Damaged(
        "general.alignment is {}, not a power of two from 8 to 1048576; the file is damaged, "
        "download it again",
        *alignment);
  }
  return static_cast<std::uint32_t>(*alignment);
}

Status ReadDims(HeaderCursor& cursor, TensorInfo* tensor) {
  std::uint32_t n_dims = 0;
  LARDER_RETURN_IF_ERROR(cursor.Read(&n_dims));
  if (n_dims < 1 || n_dims > 4) {
    return cursor.Damaged(
        "the tensor {} has {} dimensions, not 1 to 4; the file is damaged, "
        "download it again",
        Quoted(tensor->name), n_dims);
  }
  tensor->n_dims = static_cast<int>(n_dims);
  for (std::uint32_t i = 0; i < n_dims; ++i) {
    std::uint64_t dim = 0;
    LARDER_RETURN_IF_ERROR(cursor.Read(&dim));
    if (dim < 1 || dim > static_cast<std::uint64_t>(INT64_MAX)) {
      return cursor.Damaged(
          "the tensor {} has a dimension of {}; the file is damaged, download it "
          "again",
          Quoted(tensor->name), dim);
    }
    tensor->dims[i] = static_cast<std::int64_t>(dim);
  }
  return Status::Ok();
}

// One tensor info; the offset stays relative to the data section.
Status ReadTensorInfo(HeaderCursor& cursor, TensorInfo* tensor) {
  LARDER_RETURN_IF_ERROR(cursor.ReadString(kMaxNameBytes, &tensor->name));
  if (tensor->name.empty()) {
    return cursor.Damaged("a tensor has no name; the file is damaged, download it again");
  }
  cursor.set_place("the description of tensor " + Quoted(tensor->name));
  LARDER_RETURN_IF_ERROR(ReadDims(cursor, tensor));
  std::uint32_t type = 0;
  LARDER_RETURN_IF_ERROR(cursor.Read(&type));
  LARDER_RETURN_IF_ERROR(cursor.Read(&tensor->offset));
  const auto dtype = DTypeFromGguf(type);
  if (!dtype.ok()) {
    return dtype.status().WithContext(
        fmt::format("{}: tensor {}", cursor.name(), Quoted(tensor->name)));
  }
  tensor->dtype = *dtype;
  if (TensorBytes(tensor->dtype, tensor->dims, &tensor->size_bytes)) return Status::Ok();
  return cursor.Damaged(
      "the tensor {} has the shape {}, impossible for type {}; the file is "
      "damaged, download it again",
      Quoted(tensor->name), tensor->ShapeText(), DTypeName(tensor->dtype));
}

// Makes offsets absolute and checks alignment and the file's end.
Status PlaceTensors(const HeaderCursor& cursor, std::uint64_t alignment,
                    std::vector<TensorInfo>* tensors) {
  const std::uint64_t data_start = AlignUp(cursor.position(), alignment);
  const std::uint64_t file_bytes = cursor.source_size_bytes();
  const TensorInfo* farthest = nullptr;
  std::uint64_t farthest_end = 0;
  for (TensorInfo& tensor : *tensors) {
    if (tensor.offset % alignment != 0) {
      return cursor.Damaged(
          "the tensor {} begins at {}, not a multiple of {}; the file is damaged, "
          "download it again",
          Quoted(tensor.name), tensor.offset, alignment);
    }
    std::uint64_t end = 0;
    if (__builtin_add_overflow(tensor.offset, data_start, &tensor.offset) ||
        __builtin_add_overflow(tensor.offset, tensor.size_bytes, &end)) {
      return cursor.Damaged(
          "the tensor {} lies beyond any file; the file is damaged, download it "
          "again",
          Quoted(tensor.name));
    }
    if (end > farthest_end) {
      farthest = &tensor;
      farthest_end = end;
    }
  }
  if (farthest_end <= file_bytes) return Status::Ok();
  return DataError(
      "{} is truncated: it is {} bytes long and tensor {} ends at {}; download it again",
      cursor.name(), file_bytes, Quoted(farthest->name), farthest_end);
}

Status CheckOverlaps(const HeaderCursor& cursor, const std::vector<TensorInfo>& tensors) {
  std::vector<const TensorInfo*> sorted;
  sorted.reserve(tensors.size());
  for (const TensorInfo& tensor : tensors) sorted.push_back(&tensor);
  std::sort(sorted.begin(), sorted.end(),
            [](const TensorInfo* a, const TensorInfo* b) { return a->offset < b->offset; });
  for (std::size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i - 1]->offset + sorted[i - 1]->size_bytes > sorted[i]->offset) {
      return cursor.Damaged("the tensors {} and {} overlap; the file is damaged, download it again",
                            Quoted(sorted[i - 1]->name), Quoted(sorted[i]->name));
    }
  }
  return Status::Ok();
}

}  // namespace

bool IsGgufAlignment(std::uint64_t alignment) {
  return alignment >= 8 && alignment <= (1u << 20) && (alignment & (alignment - 1)) == 0;
}

bool TensorBytes(DType dtype, const std::array<std::int64_t, 4>& dims, std::uint64_t* size_bytes) {
  const DTypeInfo& info = GetDTypeInfo(dtype);
  std::int64_t n_elements = 1;
  for (const std::int64_t dim : dims) {
    if (dim < 1 || __builtin_mul_overflow(n_elements, dim, &n_elements)) return false;
  }
  if (dims[0] % info.elements_per_block != 0) return false;
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(n_elements / info.elements_per_block, info.bytes_per_block, &bytes)) {
    return false;
  }
  *size_bytes = static_cast<std::uint64_t>(bytes);
  return true;
}

Result<GgufPart> ParseGgufPart(const ByteSource& source, const std::string& name) {
  LARDER_RETURN_IF_ERROR(CheckMagic(source, name));
  HeaderCursor cursor(source, name);
  LARDER_ASSIGN_OR_RETURN(const Preamble preamble, ReadPreamble(cursor));
  GgufPart part;
  LARDER_ASSIGN_OR_RETURN(part.metadata, ParseGgufMetadata(cursor, preamble.n_keys));
  LARDER_ASSIGN_OR_RETURN(part.alignment, ReadAlignment(cursor, part.metadata));
  cursor.set_place("the list of tensors");
  LARDER_RETURN_IF_ERROR(cursor.CheckCount(preamble.n_tensors, kMinTensorInfoBytes));
  part.tensors.resize(static_cast<std::size_t>(preamble.n_tensors));
  std::unordered_set<std::string_view> names;
  for (std::size_t i = 0; i < part.tensors.size(); ++i) {
    cursor.set_place(fmt::format("the description of tensor {} of {}", i + 1, part.tensors.size()));
    LARDER_RETURN_IF_ERROR(ReadTensorInfo(cursor, &part.tensors[i]));
    if (!names.insert(part.tensors[i].name).second) {
      return cursor.Damaged("the tensor {} is there twice; the file is damaged, download it again",
                            Quoted(part.tensors[i].name));
    }
  }
  LARDER_RETURN_IF_ERROR(PlaceTensors(cursor, part.alignment, &part.tensors));
  LARDER_RETURN_IF_ERROR(CheckOverlaps(cursor, part.tensors));
  return part;
}

}  // namespace larder
