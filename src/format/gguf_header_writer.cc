// Values are narrowed back to the width their type has in the file; one that does not fit is a bug.
#include "format/gguf_header_writer.h"

#include <fmt/ranges.h>

#include <limits>
#include <string_view>
#include <unordered_set>

#include "base/memory.h"
#include "format/gguf_parser.h"
#include "format/printable.h"

namespace larder {

namespace {

constexpr std::uint32_t kDefaultAlignment = 32;
constexpr const char* kAlignmentKey = "general.alignment";

template <typename T>
void Append(std::string* out, T value) {
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void AppendText(std::string* out, std::string_view text) {
  Append<std::uint64_t>(out, text.size());
  out->append(text);
}

template <typename T, typename Wide>
void AppendInteger(std::string* out, Wide value) {
  LARDER_CHECK(value >= std::numeric_limits<T>::min() && value <= std::numeric_limits<T>::max());
  Append<T>(out, static_cast<T>(value));
}

void AppendValue(std::string* out, MetadataType type, std::uint64_t value) {
  switch (type) {
    case MetadataType::kUint8:
      return AppendInteger<std::uint8_t>(out, value);
    case MetadataType::kUint16:
      return AppendInteger<std::uint16_t>(out, value);
    case MetadataType::kUint32:
      return AppendInteger<std::uint32_t>(out, value);
    case MetadataType::kUint64:
      return Append(out, value);
    default:
      LARDER_CHECK(!"an unsigned type for an unsigned value");
  }
}

void AppendValue(std::string* out, MetadataType type, std::int64_t value) {
  switch (type) {
    case MetadataType::kInt8:
      return AppendInteger<std::int8_t>(out, value);
    case MetadataType::kInt16:
      return AppendInteger<std::int16_t>(out, value);
    case MetadataType::kInt32:
      return AppendInteger<std::int32_t>(out, value);
    case MetadataType::kInt64:
      return Append(out, value);
    default:
      LARDER_CHECK(!"a signed type for a signed value");
  }
}

void AppendValue(std::string* out, MetadataType type, double value) {
  if (type == MetadataType::kFloat32) return Append(out, static_cast<float>(value));
  LARDER_CHECK(type == MetadataType::kFloat64);
  Append(out, value);
}

void AppendValue(std::string* out, MetadataType type, bool value) {
  LARDER_CHECK(type == MetadataType::kBool);
  Append<std::uint8_t>(out, value ? 1 : 0);
}

void AppendValue(std::string* out, MetadataType type, const std::string& value) {
  LARDER_CHECK(type == MetadataType::kString);
  AppendText(out, value);
}

void AppendPair(std::string* out, const std::string& key, const MetadataValue& value) {
  AppendText(out, key);
  Append(out, static_cast<std::uint32_t>(value.type));
  if (value.type != MetadataType::kArray) {
    std::visit([&](const auto& scalar) { AppendValue(out, value.type, scalar); }, value.scalar);
    return;
  }
  Append(out, static_cast<std::uint32_t>(value.element_type));
  std::visit(
      [&](const auto& list) {
        using Element = typename std::decay_t<decltype(list)>::value_type;
        Append<std::uint64_t>(out, list.size());
        for (const Element& element : list) AppendValue(out, value.element_type, element);
      },
      value.array);
}

void AppendMetadata(std::string* out, Metadata metadata, std::uint32_t alignment) {
  metadata.Erase(kAlignmentKey);
  if (alignment != kDefaultAlignment) metadata.SetUint32(kAlignmentKey, alignment);
  Append<std::uint64_t>(out, metadata.values().size());
  for (const auto& [key, value] : metadata.values()) AppendPair(out, key, value);
}

// Bytes of a declared tensor, or why it cannot be.
Result<std::uint64_t> DeclaredBytes(const GgufWriter::TensorDeclaration& tensor) {
  std::array<std::int64_t, 4> dims = {1, 1, 1, 1};
  const bool n_dims_fit = !tensor.dims.empty() && tensor.dims.size() <= dims.size();
  for (std::size_t i = 0; n_dims_fit && i < tensor.dims.size(); ++i) dims[i] = tensor.dims[i];
  std::uint64_t size_bytes = 0;
  if (n_dims_fit && TensorBytes(tensor.dtype, dims, &size_bytes)) return size_bytes;
  return InvalidArgument("the tensor {} of shape [{}] cannot be stored as {}; choose another type",
                         Quoted(tensor.name), fmt::join(tensor.dims, ", "),
                         DTypeName(tensor.dtype));
}

}  // namespace

Result<GgufHeader> MakeGgufHeader(const Metadata& metadata,
                                  const std::vector<GgufWriter::TensorDeclaration>& tensors,
                                  std::uint32_t alignment) {
  if (!IsGgufAlignment(alignment)) {
    return InvalidArgument("an alignment of {} is no power of two from 8 to 1048576", alignment);
  }
  GgufHeader header;
  header.bytes = "GGUF";
  Append<std::uint32_t>(&header.bytes, 3);
  Append<std::uint64_t>(&header.bytes, tensors.size());
  AppendMetadata(&header.bytes, metadata, alignment);
  std::unordered_set<std::string_view> names;
  std::uint64_t offset = 0;
  for (const GgufWriter::TensorDeclaration& tensor : tensors) {
    LARDER_ASSIGN_OR_RETURN(const std::uint64_t size_bytes, DeclaredBytes(tensor));
    if (!names.insert(tensor.name).second) {
      return InvalidArgument("the tensor {} is declared twice; give each its own name",
                             Quoted(tensor.name));
    }
    AppendText(&header.bytes, tensor.name);
    Append(&header.bytes, static_cast<std::uint32_t>(tensor.dims.size()));
    for (const std::int64_t dim : tensor.dims) Append(&header.bytes, dim);
    Append(&header.bytes, static_cast<std::uint32_t>(tensor.dtype));
    Append(&header.bytes, offset);
    header.tensor_sizes_bytes.push_back(size_bytes);
    offset += AlignUp(size_bytes, alignment);
  }
  header.bytes.resize(AlignUp(header.bytes.size(), alignment), '\0');
  header.file_size_bytes = header.bytes.size() + offset;
  return header;
}

}  // namespace larder
