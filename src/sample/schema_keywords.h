// What the keywords of one schema say by themselves, checked: their types, and that each is one
// that constrained output supports. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/status.h"
#include "sample/decimal.h"
#include "sample/grammar.h"
#include "text/json_value.h"

namespace larder {

/// Kinds of values as bits; a number is an integer or has a fraction.
enum JsonKinds : std::uint32_t {
  kNullKind = 1,
  kBoolKind = 2,
  kIntegerKind = 4,
  kFractionKind = 8,
  kStringKind = 16,
  kArrayKind = 32,
  kObjectKind = 64,
  kAnyKind = 127,
};

/// What becomes of words that constrained output does not support.
enum class UnheldWords { kRefused, kPassedOver };

/// The keywords of several schemas that must hold together, as far as they can be put into one.
struct SchemaLimits {
  std::uint32_t kinds = kAnyKind;
  std::uint32_t meant = 0;  // kinds that keywords speak of, where "type" says nothing
  bool typed = false;
  NumberRange numbers;
  std::uint32_t min_chars = 0;
  std::uint32_t max_chars = kUnlimited;
  std::uint32_t min_items = 0;
  std::uint32_t max_items = kUnlimited;
  std::uint32_t min_members = 0;
  std::uint32_t max_members = kUnlimited;
  bool unique_items = false;
  std::vector<const JsonValue*> choices;  // each an "enum" list or a "const" value

  /// Adds one schema's. kUnsupported names a keyword that Larder does not know (unless these are
  /// passed over), kInvalidArgument one of the wrong type; both name `path`.
  Status Add(const JsonValue& schema, const std::string& path, UnheldWords unheld);

  /// The kinds that a value may have; where no "type" says so, those that the keywords speak of.
  std::uint32_t Kinds() const;

 private:
  Status AddKeyword(const std::string& name, const JsonValue& word, const std::string& path);
  Status AddSize(const std::string& name, const JsonValue& word, const std::string& path);
  Status AddBound(const std::string& name, const JsonValue& word, const std::string& path);
  Status AddType(const JsonValue& word, const std::string& path);
};

}  // namespace larder
