// Typed access to metadata values.
#include "format/metadata.h"

#include <cmath>

#include "format/printable.h"

namespace larder {

namespace {

Status Missing(const std::string& key) {
  return NotFound("the file has no metadata key {}; convert or download it again", Quoted(key));
}

Status WrongKind(const std::string& key, const char* wanted) {
  return DataError("the metadata key {} does not hold {}; convert or download the file again",
                   Quoted(key), wanted);
}

constexpr const char* kUintKind = "a whole number that is not negative";
constexpr const char* kFloatKind = "a number";
constexpr const char* kStringKind = "a text";
constexpr const char* kBoolKind = "true or false";
constexpr const char* kUintsKind = "a list of whole numbers that are not negative";
constexpr const char* kFloatsKind = "a list of numbers";

Result<std::uint64_t> ToUint(const std::string& key, const MetadataValue& value) {
  if (value.type == MetadataType::kArray) return WrongKind(key, kUintKind);
  if (const auto* number = std::get_if<std::uint64_t>(&value.scalar)) return *number;
  if (const auto* number = std::get_if<std::int64_t>(&value.scalar)) {
    if (*number >= 0) return static_cast<std::uint64_t>(*number);
  }
  if (const auto* number = std::get_if<double>(&value.scalar)) {
    if (*number >= 0 && *number < 0x1.0p53 && std::floor(*number) == *number) {
      return static_cast<std::uint64_t>(*number);
    }
  }
  return WrongKind(key, kUintKind);
}

Result<double> ToFloat(const std::string& key, const MetadataValue& value) {
  if (value.type == MetadataType::kArray) return WrongKind(key, kFloatKind);
  if (const auto* number = std::get_if<double>(&value.scalar)) return *number;
  if (const auto* number = std::get_if<std::uint64_t>(&value.scalar)) {
    return static_cast<double>(*number);
  }
  if (const auto* number = std::get_if<std::int64_t>(&value.scalar)) {
    return static_cast<double>(*number);
  }
  return WrongKind(key, kFloatKind);
}

template <typename T>
Result<T> ToExact(const std::string& key, const MetadataValue& value, const char* wanted) {
  const T* exact = std::get_if<T>(&value.scalar);
  if (value.type == MetadataType::kArray || exact == nullptr) return WrongKind(key, wanted);
  return *exact;
}

}  // namespace

const MetadataValue* Metadata::Find(const std::string& key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

Result<std::uint64_t> Metadata::GetUint(const std::string& key) const {
  const MetadataValue* value = Find(key);
  if (value == nullptr) return Missing(key);
  return ToUint(key, *value);
}

Result<double> Metadata::GetFloat(const std::string& key) const {
  const MetadataValue* value = Find(key);
  if (value == nullptr) return Missing(key);
  return ToFloat(key, *value);
}

Result<std::string> Metadata::GetString(const std::string& key) const {
  const MetadataValue* value = Find(key);
  if (value == nullptr) return Missing(key);
  return ToExact<std::string>(key, *value, kStringKind);
}

Result<bool> Metadata::GetBool(const std::string& key) const {
  const MetadataValue* value = Find(key);
  if (value == nullptr) return Missing(key);
  return ToExact<bool>(key, *value, kBoolKind);
}

Result<std::vector<std::uint64_t>> Metadata::GetUints(const std::string& key) const {
  const MetadataValue* value = Find(key);
  if (value == nullptr) return Missing(key);
  if (value->type != MetadataType::kArray) return WrongKind(key, kUintsKind);
  if (const auto* list = std::get_if<std::vector<std::uint64_t>>(&value->array)) return *list;
  std::vector<std::uint64_t> out;
  if (const auto* list = std::get_if<std::vector<std::int64_t>>(&value->array)) {
    out.reserve(list->size());
    for (const std::int64_t number : *list) {
      if (number < 0) return WrongKind(key, kUintsKind);
      out.push_back(static_cast<std::uint64_t>(number));
    }
    return out;
  }
  if (const auto* list = std::get_if<std::vector<bool>>(&value->array)) {
    return std::vector<std::uint64_t>(list->begin(), list->end());
  }
  return WrongKind(key, kUintsKind);
}

Result<std::vector<double>> Metadata::GetFloats(const std::string& key) const {
  const MetadataValue* value = Find(key);
  if (value == nullptr) return Missing(key);
  if (value->type != MetadataType::kArray) return WrongKind(key, kFloatsKind);
  if (const auto* list = std::get_if<std::vector<double>>(&value->array)) return *list;
  if (const auto* list = std::get_if<std::vector<std::uint64_t>>(&value->array)) {
    return std::vector<double>(list->begin(), list->end());
  }
  if (const auto* list = std::get_if<std::vector<std::int64_t>>(&value->array)) {
    return std::vector<double>(list->begin(), list->end());
  }
  return WrongKind(key, kFloatsKind);
}

const std::vector<std::string>* Metadata::FindStrings(const std::string& key) const {
  const MetadataValue* value = Find(key);
  if (value == nullptr || value->type != MetadataType::kArray) return nullptr;
  return std::get_if<std::vector<std::string>>(&value->array);
}

Result<std::uint64_t> Metadata::GetUintOr(const std::string& key, std::uint64_t fallback) const {
  return Has(key) ? GetUint(key) : Result<std::uint64_t>(fallback);
}

Result<double> Metadata::GetFloatOr(const std::string& key, double fallback) const {
  return Has(key) ? GetFloat(key) : Result<double>(fallback);
}

Result<std::string> Metadata::GetStringOr(const std::string& key,
                                          const std::string& fallback) const {
  return Has(key) ? GetString(key) : Result<std::string>(fallback);
}

Result<bool> Metadata::GetBoolOr(const std::string& key, bool fallback) const {
  return Has(key) ? GetBool(key) : Result<bool>(fallback);
}

void Metadata::SetUint32(const std::string& key, std::uint32_t value) {
  values_[key] = {MetadataType::kUint32, MetadataType::kUint32, std::uint64_t{value}, {}};
}

void Metadata::SetFloat32(const std::string& key, float value) {
  values_[key] = {MetadataType::kFloat32, MetadataType::kUint32, static_cast<double>(value), {}};
}

void Metadata::SetString(const std::string& key, std::string value) {
  values_[key] = {MetadataType::kString, MetadataType::kUint32, std::move(value), {}};
}

void Metadata::SetBool(const std::string& key, bool value) {
  values_[key] = {MetadataType::kBool, MetadataType::kUint32, value, {}};
}

void Metadata::SetStrings(const std::string& key, std::vector<std::string> values) {
  values_[key] = {MetadataType::kArray, MetadataType::kString, {}, std::move(values)};
}

void Metadata::SetInts(const std::string& key, std::vector<std::int64_t> values) {
  values_[key] = {MetadataType::kArray, MetadataType::kInt32, {}, std::move(values)};
}

}  // namespace larder
