// The choice of types.
#include "cli/quantize_plan.h"

#include <cctype>

#include "base/check.h"
#include "cli/suggest.h"
#include "tensor/codec.h"

namespace larder {

namespace {

bool Contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

bool EndsWith(const std::string& text, std::string_view end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

// llama.cpp's numbers of "mostly this type"; readers only show it.
std::uint32_t FileTypeNumber(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return 1;
    case DType::kQ4_0:
      return 2;
    case DType::kQ8_0:
      return 7;
    case DType::kQ4_K:
      return 14;
    case DType::kQ5_K:
      return 16;
    case DType::kQ6_K:
      return 18;
    case DType::kBF16:
      return 32;
    case DType::kQ4_1:
      return 3;
    case DType::kQ5_0:
      return 8;
    case DType::kQ5_1:
      return 9;
    case DType::kQ2_K:
      return 10;
    case DType::kQ3_K:
      return 11;
    case DType::kIQ4_NL:
      return 25;
    case DType::kIQ4_XS:
      return 30;
    case DType::kMXFP4:
      return 38;
    default:
      break;
  }
  LARDER_CHECK(!"a type with an encoder");
  return 0;
}

}  // namespace

Result<DType> ParseWritableType(const char* option, const std::string& name) {
  Result<DType> dtype = WritableDTypeFromName(name);
  if (dtype.ok()) return dtype;
  std::vector<std::string> known;
  for (const DType candidate : AllDTypes()) {
    if (HasEncoder(candidate)) known.emplace_back(DTypeName(candidate));
  }
  std::string upper = name;
  for (char& letter : upper) {
    letter = static_cast<char>(std::toupper(static_cast<unsigned char>(letter)));
  }
  const std::string nearest = NearestWord(upper, known);
  const std::string hint = nearest.empty() ? "" : fmt::format("; did you mean '{}'?", nearest);
  return InvalidArgument("{}: {}{}", option, dtype.status().message(), hint);
}

bool StaysAsItIs(const TensorInfo& tensor) {
  const std::string& name = tensor.name;
  if (tensor.n_dims <= 1 || !EndsWith(name, ".weight")) return true;
  for (const char* part : {"_norm.weight", "ffn_gate_inp", "ssm_conv1d"}) {
    if (Contains(name, part)) return true;
  }
  return false;
}

DType TypeThatFits(DType wanted, std::int64_t n_cols) {
  if (n_cols % GetDTypeInfo(wanted).elements_per_block == 0) return wanted;
  if (n_cols % GetDTypeInfo(DType::kQ8_0).elements_per_block == 0) return DType::kQ8_0;
  return DType::kF16;
}

std::vector<TensorPlan> PlanQuantization(const TensorDirectory& directory, QuantizeTypes types) {
  std::vector<TensorPlan> plans;
  for (const TensorInfo& tensor : directory.tensors()) {
    TensorPlan plan;
    plan.source = &tensor;
    plan.target = tensor.dtype;
    if (!StaysAsItIs(tensor)) {
      const bool is_expert = EndsWith(tensor.name, "_exps.weight");
      const DType wanted = is_expert ? types.experts : types.dense;
      plan.target = TypeThatFits(wanted, tensor.dims[0]);
      plan.fell_back = plan.target != wanted;
    }
    plans.push_back(plan);
  }
  return plans;
}

Metadata QuantizedMetadata(const Metadata& source, QuantizeTypes types) {
  Metadata metadata = source;
  metadata.SetUint32("general.quantization_version", 2);
  metadata.SetUint32("general.file_type", FileTypeNumber(types.experts));
  metadata.Erase("general.alignment");
  return metadata;
}

}  // namespace larder
