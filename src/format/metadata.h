// Typed key-value metadata of a model file. Immutable after reading; any thread may read.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "base/status.h"

namespace larder {

/// GGUF's value types by number.
enum class MetadataType : std::uint32_t {
  kUint8 = 0,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64
};

/// A scalar keeps the type it had in the file in `type`; arrays are held in the widest member of
/// their kind, and `element_type` says what the file holds. Nested arrays are refused by the
/// reader.
struct MetadataValue {
  using Scalar = std::variant<std::uint64_t, std::int64_t, double, bool, std::string>;
  using Array = std::variant<std::vector<std::uint64_t>, std::vector<std::int64_t>,
                             std::vector<double>, std::vector<bool>, std::vector<std::string>>;
  MetadataType type = MetadataType::kUint32;
  MetadataType element_type = MetadataType::kUint32;  // when type is kArray
  Scalar scalar;
  Array array;
};

class Metadata {
 public:
  using Map = std::map<std::string, MetadataValue>;

  bool Has(const std::string& key) const { return values_.count(key) != 0; }
  const MetadataValue* Find(const std::string& key) const;
  const Map& values() const { return values_; }
  void Set(const std::string& key, MetadataValue value) { values_[key] = std::move(value); }
  void Erase(const std::string& key) { values_.erase(key); }

  /// Typed access. A missing key is kNotFound naming it; a value of another kind, a negative or
  /// fractional number where an unsigned is asked, is kDataError. Integers of all widths convert.
  Result<std::uint64_t> GetUint(const std::string& key) const;
  Result<double> GetFloat(const std::string& key) const;
  Result<std::string> GetString(const std::string& key) const;
  Result<bool> GetBool(const std::string& key) const;
  Result<std::vector<std::uint64_t>> GetUints(const std::string& key) const;
  Result<std::vector<double>> GetFloats(const std::string& key) const;
  /// Without a copy: nullptr when missing or of another kind.
  const std::vector<std::string>* FindStrings(const std::string& key) const;

  /// The fallback when the key is missing; a value of the wrong kind is still an error.
  Result<std::uint64_t> GetUintOr(const std::string& key, std::uint64_t fallback) const;
  Result<double> GetFloatOr(const std::string& key, double fallback) const;
  Result<std::string> GetStringOr(const std::string& key, const std::string& fallback) const;
  Result<bool> GetBoolOr(const std::string& key, bool fallback) const;

  void SetUint32(const std::string& key, std::uint32_t value);
  void SetFloat32(const std::string& key, float value);
  void SetString(const std::string& key, std::string value);
  void SetBool(const std::string& key, bool value);
  void SetStrings(const std::string& key, std::vector<std::string> values);
  void SetInts(const std::string& key, std::vector<std::int64_t> values);  // array of int32

 private:
  Map values_;
};

}  // namespace larder
