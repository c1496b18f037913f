// Interpolation, JSON, and the file per machine.
#include "cli/machine_figures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "cli/bench_runner.h"
#include "cli/suggest.h"
#include "cli/token_list.h"
#include "format/printable.h"

namespace larder {

namespace {

constexpr int kMostInFlight = 16;
// Above every machine there is; keeps products of figures finite.
constexpr double kLargest = 1e18;
// The version of the probes: figures of others are measured again.
constexpr int kProbeVersion = 2;

// The two neighbours of `at` among sorted `values`, and how far between them it lies.
struct Neighbours {
  double below = 0;
  double above = 0;
  double share = 0;
};

Neighbours Around(const std::set<double>& values, double at) {
  const auto above = values.lower_bound(at);
  if (above == values.begin()) return {*above, *above, 0};
  if (above == values.end()) return {*values.rbegin(), *values.rbegin(), 0};
  const double below = *std::prev(above);
  return {below, *above, (at - below) / (*above - below)};
}

bool IsFloat(DType dtype) { return GetDTypeInfo(dtype).elements_per_block == 1; }

double BytesPerWeight(DType dtype) {
  const DTypeInfo& info = GetDTypeInfo(dtype);
  return static_cast<double>(info.bytes_per_block) / static_cast<double>(info.elements_per_block);
}

double Mix(double a, double b, double share) { return a + share * (b - a); }

// Rate at one measured size for any depth.
double RateAtSize(const std::vector<DiskReadRate>& rates, double size, double depth,
                  double DiskReadRate::*which) {
  std::set<double> depths;
  for (const DiskReadRate& rate : rates) {
    if (static_cast<double>(rate.read_bytes) == size) depths.insert(rate.depth);
  }
  const Neighbours around = Around(depths, depth);
  double below = 0;
  double above = 0;
  for (const DiskReadRate& rate : rates) {
    if (static_cast<double>(rate.read_bytes) != size) continue;
    if (rate.depth == around.below) below = rate.*which;
    if (rate.depth == around.above) above = rate.*which;
  }
  return Mix(below, above, around.share);
}

// A mistyped key would leave its figure unknown without a word.
Status CheckKeys(const nlohmann::json& json, const std::vector<std::string>& known) {
  for (const auto& item : json.items()) {
    if (std::find(known.begin(), known.end(), item.key()) != known.end()) continue;
    const std::string nearest = NearestWord(item.key(), known);
    return InvalidArgument("a machine file has no {}{}", Quoted(item.key()),
                           nearest.empty() ? "" : fmt::format(", did you mean '{}'?", nearest));
  }
  return Status::Ok();
}

Result<double> Positive(const nlohmann::json& json, const char* key, bool is_required) {
  const auto found = json.find(key);
  if (found == json.end()) {
    if (!is_required) return 0.0;
    return InvalidArgument("a machine file needs \"{}\", a number above 0", key);
  }
  const double value = found->is_number() ? found->get<double>() : 0.0;
  if (value > 0 && value <= kLargest) return value;
  return InvalidArgument("\"{}\" of the machine file is no number above 0", key);
}

// Below one byte or product a second, times are beyond all numbers.
Result<double> Rate(const nlohmann::json& json, const char* key, bool is_required) {
  LARDER_ASSIGN_OR_RETURN(const double rate, Positive(json, key, is_required));
  if (rate >= 1 || !json.contains(key)) return rate;
  return InvalidArgument("\"{}\" of the machine file is {:g}, less than 1 per second", key, rate);
}

// A disk may be full.
Result<std::optional<std::uint64_t>> FreeBytes(const nlohmann::json& json) {
  const auto found = json.find("disk_free_bytes");
  if (found == json.end()) return std::optional<std::uint64_t>();
  const double value = found->is_number() ? found->get<double>() : -1.0;
  if (value >= 0 && value <= kLargest) {
    return std::optional<std::uint64_t>(static_cast<std::uint64_t>(value));
  }
  return InvalidArgument("\"disk_free_bytes\" of the machine file is no number from 0");
}

Result<DiskReadRate> ParseDiskRate(const nlohmann::json& json) {
  if (!json.is_object()) return InvalidArgument("\"disk_rates\" of the machine file holds no list");
  LARDER_RETURN_IF_ERROR(
      CheckKeys(json, {"read_bytes", "depth", "bytes_per_second", "lowest", "highest"}));
  DiskReadRate rate;
  LARDER_ASSIGN_OR_RETURN(const double read_bytes, Positive(json, "read_bytes", true));
  LARDER_ASSIGN_OR_RETURN(const double depth, Positive(json, "depth", true));
  LARDER_ASSIGN_OR_RETURN(rate.bytes_per_second, Rate(json, "bytes_per_second", true));
  LARDER_ASSIGN_OR_RETURN(rate.lowest, Rate(json, "lowest", false));
  LARDER_ASSIGN_OR_RETURN(rate.highest, Rate(json, "highest", false));
  rate.read_bytes = static_cast<std::uint64_t>(std::max(read_bytes, 1.0));
  rate.depth = static_cast<int>(std::clamp(depth, 1.0, 1e6));
  if (rate.lowest == 0) rate.lowest = rate.bytes_per_second;
  if (rate.highest == 0) rate.highest = rate.bytes_per_second;
  if (rate.lowest > rate.bytes_per_second || rate.highest < rate.bytes_per_second) {
    return InvalidArgument(
        "a disk rate of the machine file has \"lowest\" {:g}, \"bytes_per_second\" {:g} and "
        "\"highest\" {:g}, which do not rise",
        rate.lowest, rate.bytes_per_second, rate.highest);
  }
  return rate;
}

Result<ProductRate> ParseProduct(const nlohmann::json& json) {
  if (!json.is_object() || !json.contains("type") || !json["type"].is_string()) {
    return InvalidArgument("a product of the machine file needs \"type\", such as \"Q4_K\"");
  }
  LARDER_RETURN_IF_ERROR(CheckKeys(json, {"type", "bytes_per_second", "multiply_adds_per_second",
                                          "few_multiply_adds_per_second"}));
  ProductRate rate;
  LARDER_ASSIGN_OR_RETURN(rate.dtype, DTypeFromName(json["type"].get<std::string>()));
  LARDER_ASSIGN_OR_RETURN(rate.bytes_per_second, Rate(json, "bytes_per_second", true));
  LARDER_ASSIGN_OR_RETURN(rate.multiply_adds_per_second,
                          Rate(json, "multiply_adds_per_second", true));
  LARDER_ASSIGN_OR_RETURN(rate.few_multiply_adds_per_second,
                          Rate(json, "few_multiply_adds_per_second", false));
  return rate;
}

std::string Text(const nlohmann::json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Status ParseLists(const nlohmann::json& json, MachineFigures* figures) {
  if (const auto rates = json.find("disk_rates"); rates != json.end()) {
    if (json.contains("disk_bytes_per_second")) {
      return InvalidArgument(
          "the machine file has \"disk_bytes_per_second\" and \"disk_rates\"; keep one of them");
    }
    if (!rates->is_array() || rates->empty()) {
      return InvalidArgument("\"disk_rates\" of the machine file is no list with entries");
    }
    for (const nlohmann::json& one : *rates) {
      LARDER_ASSIGN_OR_RETURN(const DiskReadRate rate, ParseDiskRate(one));
      figures->disk_rates.push_back(rate);
    }
  } else {
    LARDER_ASSIGN_OR_RETURN(const double rate, Rate(json, "disk_bytes_per_second", true));
    figures->disk_rates.push_back({1, kMostInFlight, rate, rate, rate});
  }
  const auto products = json.find("products");
  if (products == json.end()) return Status::Ok();
  if (!products->is_array()) return InvalidArgument("\"products\" of the machine file is no list");
  for (const nlohmann::json& one : *products) {
    LARDER_ASSIGN_OR_RETURN(const ProductRate rate, ParseProduct(one));
    figures->products.push_back(rate);
  }
  return Status::Ok();
}

}  // namespace

double MachineFigures::DiskBytesPerSecond(double read_bytes, double n_bytes,
                                          double DiskReadRate::*which) const {
  const double depth = std::clamp(n_bytes / std::max(read_bytes, 1.0), 1.0, double{kMostInFlight});
  std::set<double> sizes;
  for (const DiskReadRate& rate : disk_rates) sizes.insert(static_cast<double>(rate.read_bytes));
  const Neighbours around = Around(sizes, read_bytes);
  return Mix(RateAtSize(disk_rates, around.below, depth, which),
             RateAtSize(disk_rates, around.above, depth, which), around.share);
}

const ProductRate* MachineFigures::StandInFor(DType dtype) const {
  const ProductRate* nearest = nullptr;
  const auto distance = [dtype](const ProductRate& rate) {
    return std::make_pair(IsFloat(rate.dtype) != IsFloat(dtype),
                          std::abs(BytesPerWeight(rate.dtype) - BytesPerWeight(dtype)));
  };
  for (const ProductRate& rate : products) {
    if (rate.dtype == dtype) return nullptr;
    if (nearest == nullptr || distance(rate) < distance(*nearest) ||
        (distance(rate) == distance(*nearest) &&
         rate.multiply_adds_per_second < nearest->multiply_adds_per_second)) {
      nearest = &rate;
    }
  }
  return nearest;
}

ProductRate MachineFigures::RateOf(DType dtype) const {
  for (const ProductRate& rate : products) {
    if (rate.dtype == dtype) return rate;
  }
  const ProductRate* stand_in = StandInFor(dtype);
  if (stand_in == nullptr) return {dtype, memory_bytes_per_second, multiply_adds_per_second, 0};
  ProductRate rate = *stand_in;
  rate.dtype = dtype;
  rate.bytes_per_second *= std::min(1.0, BytesPerWeight(dtype) / BytesPerWeight(stand_in->dtype));
  if (multiply_adds_per_second > 0) {
    rate.multiply_adds_per_second = multiply_adds_per_second;
    rate.few_multiply_adds_per_second = 0;
  }
  return rate;
}

nlohmann::json ToJson(const MachineFigures& figures) {
  nlohmann::json json = {{"probe_version", kProbeVersion},
                         {"name", figures.name},
                         {"disk", figures.disk},
                         {"memory_bytes_per_second", figures.memory_bytes_per_second},
                         {"disk_rates", nlohmann::json::array()},
                         {"products", nlohmann::json::array()}};
  const auto put = [&json](const char* key, double value) {
    if (value > 0) json[key] = value;
  };
  if (figures.memory_bytes > 0) json["memory_bytes"] = figures.memory_bytes;
  if (figures.disk_free_bytes) json["disk_free_bytes"] = *figures.disk_free_bytes;
  if (figures.n_threads > 0) json["n_threads"] = figures.n_threads;
  put("state_bytes_per_second", figures.state_bytes_per_second);
  put("layer_overhead_seconds", figures.layer_overhead_seconds);
  put("read_cpu_seconds", figures.read_cpu_seconds);
  put("multiply_adds_per_second", figures.multiply_adds_per_second);
  for (const DiskReadRate& rate : figures.disk_rates) {
    json["disk_rates"].push_back({{"read_bytes", rate.read_bytes},
                                  {"depth", rate.depth},
                                  {"bytes_per_second", rate.bytes_per_second},
                                  {"lowest", rate.lowest},
                                  {"highest", rate.highest}});
  }
  for (const ProductRate& rate : figures.products) {
    json["products"].push_back({{"type", DTypeName(rate.dtype)},
                                {"bytes_per_second", rate.bytes_per_second},
                                {"multiply_adds_per_second", rate.multiply_adds_per_second}});
    if (rate.few_multiply_adds_per_second > 0) {
      json["products"].back()["few_multiply_adds_per_second"] = rate.few_multiply_adds_per_second;
    }
  }
  return json;
}

Result<MachineFigures> ParseMachineFigures(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return InvalidArgument("the machine file is not a JSON object");
  LARDER_RETURN_IF_ERROR(
      CheckKeys(json, {"probe_version", "name", "disk", "memory_bytes_per_second", "memory_bytes",
                       "disk_free_bytes", "n_threads", "state_bytes_per_second",
                       "layer_overhead_seconds", "read_cpu_seconds", "multiply_adds_per_second",
                       "disk_bytes_per_second", "disk_rates", "products"}));
  MachineFigures figures;
  figures.name = Text(json, "name");
  figures.disk = Text(json, "disk");
  LARDER_ASSIGN_OR_RETURN(figures.memory_bytes_per_second,
                          Rate(json, "memory_bytes_per_second", true));
  LARDER_ASSIGN_OR_RETURN(const double memory_bytes, Positive(json, "memory_bytes", false));
  LARDER_ASSIGN_OR_RETURN(figures.disk_free_bytes, FreeBytes(json));
  LARDER_ASSIGN_OR_RETURN(const double n_threads, Positive(json, "n_threads", false));
  LARDER_ASSIGN_OR_RETURN(figures.state_bytes_per_second,
                          Rate(json, "state_bytes_per_second", false));
  LARDER_ASSIGN_OR_RETURN(figures.layer_overhead_seconds,
                          Positive(json, "layer_overhead_seconds", false));
  LARDER_ASSIGN_OR_RETURN(figures.read_cpu_seconds, Positive(json, "read_cpu_seconds", false));
  LARDER_ASSIGN_OR_RETURN(figures.multiply_adds_per_second,
                          Rate(json, "multiply_adds_per_second", false));
  figures.memory_bytes = static_cast<std::uint64_t>(memory_bytes);
  figures.n_threads = static_cast<int>(std::min(n_threads, 1e6));
  LARDER_RETURN_IF_ERROR(ParseLists(json, &figures));
  return figures;
}

std::string CacheFolder() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  if (cache != nullptr && cache[0] == '/') return std::string(cache) + "/larder";
  const char* home = std::getenv("HOME");
  if (home != nullptr && home[0] == '/') return std::string(home) + "/.cache/larder";
  return "";
}

std::string MachineFilePath(const std::string& cpu, const std::string& disk, int n_threads) {
  const std::string folder = CacheFolder();
  if (folder.empty()) return "";
  const std::string key = fmt::format("{}|{}|{}|{}", kProbeVersion, cpu, disk, n_threads);
  return fmt::format("{}/machine-{:016x}.json", folder, Fnv1a(key.data(), key.size()));
}

Result<MachineFigures> LoadMachineFigures(const std::string& path) {
  LARDER_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(path));
  Result<MachineFigures> figures = ParseMachineFigures(text);
  if (!figures.ok()) return figures.status().WithContext(path);
  if (figures->name.empty()) figures->name = std::filesystem::path(path).stem().string();
  return figures;
}

Status SaveMachineFigures(const MachineFigures& figures, const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  const std::string temporary = path + ".tmp";
  std::FILE* file = std::fopen(temporary.c_str(), "w");
  if (file == nullptr) return IoError("cannot write {}: {}", temporary, std::strerror(errno));
  const std::string text =
      ToJson(figures).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  const bool closed = std::fclose(file) == 0;
  if (written && closed && std::rename(temporary.c_str(), path.c_str()) == 0) return Status::Ok();
  std::remove(temporary.c_str());
  return IoError("cannot write {}; check the space of its disk", path);
}

}  // namespace larder
