// The table of element types: GGUF numbers, names and block geometry. Constant data, any thread.
#include "tensor/dtype.h"

#include <algorithm>
#include <cctype>
#include <string>

#include "base/check.h"

namespace larder {

namespace {

constexpr DTypeInfo kImplemented[] = {
    {DType::kF32, "F32", 1, 4},
    {DType::kF16, "F16", 1, 2},
    {DType::kQ4_0, "Q4_0", 32, 18},
    {DType::kQ4_1, "Q4_1", 32, 20},
    {DType::kQ5_0, "Q5_0", 32, 22},
    {DType::kQ5_1, "Q5_1", 32, 24},
    {DType::kQ8_0, "Q8_0", 32, 34},
    {DType::kQ2_K, "Q2_K", 256, 84},
    {DType::kQ3_K, "Q3_K", 256, 110},
    {DType::kQ4_K, "Q4_K", 256, 144},
    {DType::kQ5_K, "Q5_K", 256, 176},
    {DType::kQ6_K, "Q6_K", 256, 210},
    {DType::kIQ2_XXS, "IQ2_XXS", 256, 66},
    {DType::kIQ2_XS, "IQ2_XS", 256, 74},
    {DType::kIQ3_XXS, "IQ3_XXS", 256, 98},
    {DType::kIQ1_S, "IQ1_S", 256, 50},
    {DType::kIQ4_NL, "IQ4_NL", 32, 18},
    {DType::kIQ3_S, "IQ3_S", 256, 110},
    {DType::kIQ2_S, "IQ2_S", 256, 82},
    {DType::kIQ4_XS, "IQ4_XS", 256, 136},
    {DType::kIQ1_M, "IQ1_M", 256, 56},
    {DType::kBF16, "BF16", 1, 2},
    {DType::kTQ1_0, "TQ1_0", 256, 54},
    {DType::kTQ2_0, "TQ2_0", 256, 66},
    {DType::kMXFP4, "MXFP4", 32, 17},
};

struct KnownType {
  std::uint32_t number;
  std::string_view name;
};

// Types upstream defines and Larder does not implement (numbers of the GGUF specification).
constexpr KnownType kKnown[] = {
    {9, "Q8_1"},        {15, "Q8_K"},       {24, "I8"},         {25, "I16"},      {26, "I32"},
    {27, "I64"},        {28, "F64"},        {31, "Q4_0_4_4"},   {32, "Q4_0_4_8"}, {33, "Q4_0_8_8"},
    {36, "IQ4_NL_4_4"}, {37, "IQ4_NL_4_8"}, {38, "IQ4_NL_8_8"}, {40, "NVFP4"},    {41, "Q1_0"},
};

std::string ImplementedNames() {
  std::string names;
  for (const DTypeInfo& info : kImplemented) {
    if (!names.empty()) names += ", ";
    names += info.name;
  }
  return names;
}

}  // namespace

const DTypeInfo& GetDTypeInfo(DType dtype) {
  for (const DTypeInfo& info : kImplemented) {
    if (info.dtype == dtype) return info;
  }
  LARDER_CHECK(!"an implemented dtype");
  return kImplemented[0];
}

std::string_view DTypeName(DType dtype) { return GetDTypeInfo(dtype).name; }

Result<DType> DTypeFromGguf(std::uint32_t number) {
  for (const DTypeInfo& info : kImplemented) {
    if (static_cast<std::uint32_t>(info.dtype) == number) return info.dtype;
  }
  for (const KnownType& known : kKnown) {
    if (known.number != number) continue;
    return Unsupported("type {} is not supported yet; use a file whose tensors are {}", known.name,
                       ImplementedNames());
  }
  return Unsupported("type number {} is unknown; use a file whose tensors are {}", number,
                     ImplementedNames());
}

Result<DType> DTypeFromName(std::string_view name) {
  std::string upper(name);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  for (const DTypeInfo& info : kImplemented) {
    if (info.name == upper) return info.dtype;
  }
  return Unsupported("type '{}' is not supported; choose one of {}", name, ImplementedNames());
}

const std::vector<DType>& AllDTypes() {
  static const std::vector<DType> all = [] {
    std::vector<DType> types;
    for (const DTypeInfo& info : kImplemented) types.push_back(info.dtype);
    return types;
  }();
  return all;
}

std::size_t RowBytes(DType dtype, std::int64_t n_elements) {
  const DTypeInfo& info = GetDTypeInfo(dtype);
  LARDER_CHECK(n_elements >= 0 && n_elements % info.elements_per_block == 0);
  return static_cast<std::size_t>(n_elements / info.elements_per_block) *
         static_cast<std::size_t>(info.bytes_per_block);
}

}  // namespace larder
