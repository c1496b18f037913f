// Values are read one by one through the cursor's buffer; nothing is reserved for a count that the
// rest of the file could not hold.
#include "format/gguf_metadata_parser.h"

#include "format/printable.h"

namespace larder {

namespace {

constexpr std::uint64_t kMaxKeys = 65536;
constexpr std::uint64_t kMaxKeyBytes = 65535;  // the specification's limit
constexpr std::uint64_t kMinPairBytes = 8 + 4 + 1;

// Reads a T and widens it.
template <typename T, typename Wide>
Status ReadAs(HeaderCursor& cursor, Wide* out) {
  T value{};
  LARDER_RETURN_IF_ERROR(cursor.Read(&value));
  *out = static_cast<Wide>(value);
  return Status::Ok();
}

Status ReadBool(HeaderCursor& cursor, bool* out) {
  std::uint8_t value = 0;
  LARDER_RETURN_IF_ERROR(cursor.Read(&value));
  if (value > 1) {
    return cursor.Damaged("{} is {}, not true or false; the file is damaged, download it again",
                          cursor.place(), value);
  }
  *out = value == 1;
  return Status::Ok();
}

template <typename T, typename Wide, typename Into>
Status ReadInto(HeaderCursor& cursor, Into* out) {
  Wide value{};
  LARDER_RETURN_IF_ERROR((ReadAs<T, Wide>(cursor, &value)));
  *out = value;
  return Status::Ok();
}

Status ReadScalar(HeaderCursor& cursor, MetadataType type, MetadataValue::Scalar* out) {
  switch (type) {
    case MetadataType::kUint8:
      return ReadInto<std::uint8_t, std::uint64_t>(cursor, out);
    case MetadataType::kUint16:
      return ReadInto<std::uint16_t, std::uint64_t>(cursor, out);
    case MetadataType::kUint32:
      return ReadInto<std::uint32_t, std::uint64_t>(cursor, out);
    case MetadataType::kUint64:
      return ReadInto<std::uint64_t, std::uint64_t>(cursor, out);
    case MetadataType::kInt8:
      return ReadInto<std::int8_t, std::int64_t>(cursor, out);
    case MetadataType::kInt16:
      return ReadInto<std::int16_t, std::int64_t>(cursor, out);
    case MetadataType::kInt32:
      return ReadInto<std::int32_t, std::int64_t>(cursor, out);
    case MetadataType::kInt64:
      return ReadInto<std::int64_t, std::int64_t>(cursor, out);
    case MetadataType::kFloat32:
      return ReadInto<float, double>(cursor, out);
    case MetadataType::kFloat64:
      return ReadInto<double, double>(cursor, out);
    case MetadataType::kBool: {
      bool value = false;
      LARDER_RETURN_IF_ERROR(ReadBool(cursor, &value));
      *out = value;
      return Status::Ok();
    }
    case MetadataType::kString: {
      std::string value;
      LARDER_RETURN_IF_ERROR(cursor.ReadString(kMaxHeaderBytes, &value));
      *out = std::move(value);
      return Status::Ok();
    }
    case MetadataType::kArray:
      break;
  }
  return cursor.Damaged("a value has the unknown type {}; the file is damaged, download it again",
                        static_cast<std::uint32_t>(type));
}

template <typename T, typename Wide>
Status ReadNumbers(HeaderCursor& cursor, std::uint64_t count, MetadataValue::Array* out) {
  std::vector<Wide> values(static_cast<std::size_t>(count));
  for (Wide& value : values) LARDER_RETURN_IF_ERROR((ReadAs<T, Wide>(cursor, &value)));
  *out = std::move(values);
  return Status::Ok();
}

Status ReadBools(HeaderCursor& cursor, std::uint64_t count, MetadataValue::Array* out) {
  std::vector<bool> values(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < values.size(); ++i) {
    bool value = false;
    LARDER_RETURN_IF_ERROR(ReadBool(cursor, &value));
    values[i] = value;
  }
  *out = std::move(values);
  return Status::Ok();
}

Status ReadStrings(HeaderCursor& cursor, std::uint64_t count, MetadataValue::Array* out) {
  std::vector<std::string> values(static_cast<std::size_t>(count));
  for (std::string& value : values) {
    LARDER_RETURN_IF_ERROR(cursor.ReadString(kMaxHeaderBytes, &value));
  }
  *out = std::move(values);
  return Status::Ok();
}

Status ReadElements(HeaderCursor& cursor, MetadataType type, std::uint64_t count,
                    MetadataValue::Array* out) {
  switch (type) {
    case MetadataType::kUint8:
      return ReadNumbers<std::uint8_t, std::uint64_t>(cursor, count, out);
    case MetadataType::kUint16:
      return ReadNumbers<std::uint16_t, std::uint64_t>(cursor, count, out);
    case MetadataType::kUint32:
      return ReadNumbers<std::uint32_t, std::uint64_t>(cursor, count, out);
    case MetadataType::kUint64:
      return ReadNumbers<std::uint64_t, std::uint64_t>(cursor, count, out);
    case MetadataType::kInt8:
      return ReadNumbers<std::int8_t, std::int64_t>(cursor, count, out);
    case MetadataType::kInt16:
      return ReadNumbers<std::int16_t, std::int64_t>(cursor, count, out);
    case MetadataType::kInt32:
      return ReadNumbers<std::int32_t, std::int64_t>(cursor, count, out);
    case MetadataType::kInt64:
      return ReadNumbers<std::int64_t, std::int64_t>(cursor, count, out);
    case MetadataType::kFloat32:
      return ReadNumbers<float, double>(cursor, count, out);
    case MetadataType::kFloat64:
      return ReadNumbers<double, double>(cursor, count, out);
    case MetadataType::kBool:
      return ReadBools(cursor, count, out);
    case MetadataType::kString:
      return ReadStrings(cursor, count, out);
    case MetadataType::kArray:
      break;
  }
  LARDER_CHECK(!"an element type that ReadArray lets through");
  return Status::Ok();
}

Status ReadArray(HeaderCursor& cursor, const std::string& key, MetadataValue* value) {
  std::uint32_t type = 0;
  std::uint64_t count = 0;
  LARDER_RETURN_IF_ERROR(cursor.Read(&type));
  LARDER_RETURN_IF_ERROR(cursor.Read(&count));
  value->element_type = static_cast<MetadataType>(type);
  if (value->element_type == MetadataType::kArray) {
    return Unsupported(
        "{}: the metadata key {} holds lists of lists, which Larder does not read; get the model "
        "from another source",
        cursor.name(), Quoted(key));
  }
  const bool is_string = value->element_type == MetadataType::kString;
  const std::size_t element_bytes = is_string ? 8 : ScalarBytes(value->element_type);
  if (element_bytes == 0) {
    return cursor.Damaged(
        "the metadata key {} is a list of the unknown type {}; the file is damaged, download it "
        "again",
        Quoted(key), type);
  }
  LARDER_RETURN_IF_ERROR(cursor.CheckCount(count, element_bytes));
  return ReadElements(cursor, value->element_type, count, &value->array);
}

}  // namespace

std::size_t ScalarBytes(MetadataType type) {
  switch (type) {
    case MetadataType::kUint8:
    case MetadataType::kInt8:
    case MetadataType::kBool:
      return 1;
    case MetadataType::kUint16:
    case MetadataType::kInt16:
      return 2;
    case MetadataType::kUint32:
    case MetadataType::kInt32:
    case MetadataType::kFloat32:
      return 4;
    case MetadataType::kUint64:
    case MetadataType::kInt64:
    case MetadataType::kFloat64:
      return 8;
    case MetadataType::kString:
    case MetadataType::kArray:
      break;
  }
  return 0;
}

Result<Metadata> ParseGgufMetadata(HeaderCursor& cursor, std::uint64_t n_keys) {
  cursor.set_place("the metadata");
  LARDER_RETURN_IF_ERROR(cursor.CheckCount(n_keys, kMinPairBytes));
  if (n_keys > kMaxKeys) {
    return cursor.Damaged("it claims {} metadata keys; the file is damaged, download it again",
                          n_keys);
  }
  Metadata metadata;
  for (std::uint64_t i = 0; i < n_keys; ++i) {
    cursor.set_place(fmt::format("metadata key {} of {}", i + 1, n_keys));
    std::string key;
    LARDER_RETURN_IF_ERROR(cursor.ReadString(kMaxKeyBytes, &key));
    cursor.set_place("the metadata key " + Quoted(key));
    std::uint32_t type = 0;
    LARDER_RETURN_IF_ERROR(cursor.Read(&type));
    MetadataValue value;
    value.type = static_cast<MetadataType>(type);
    if (type > static_cast<std::uint32_t>(MetadataType::kFloat64)) {
      return cursor.Damaged(
          "the metadata key {} has the unknown type {}; the file is damaged, download it again",
          Quoted(key), type);
    }
    if (value.type == MetadataType::kArray) {
      LARDER_RETURN_IF_ERROR(ReadArray(cursor, key, &value));
    } else {
      LARDER_RETURN_IF_ERROR(ReadScalar(cursor, value.type, &value.scalar));
    }
    if (metadata.Has(key)) {
      return cursor.Damaged(
          "the metadata key {} is there twice; the file is damaged, download it "
          "again",
          Quoted(key));
    }
    metadata.Set(key, std::move(value));
  }
  return metadata;
}

}  // namespace larder
