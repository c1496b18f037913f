// The format, little-endian: "LARDHEAT", version, count (32 bits each), identity (64), then per
// expert layer and expert (16 bits each) and heat (a 32-bit float), then FNV-1a 64 of all before.
#include "experts/heat_file.h"

#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <unordered_set>

namespace larder {
namespace {

constexpr char kMagic[8] = {'L', 'A', 'R', 'D', 'H', 'E', 'A', 'T'};
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 24;
constexpr std::size_t kEntryBytes = 8;
constexpr std::size_t kChecksumBytes = 8;
constexpr std::uintmax_t kLargestFileBytes = std::uintmax_t{16} << 20;
static_assert(std::endian::native == std::endian::little);

// FNV-1a, 64 bits. Source: draft-eastlake-fnv.
class Hash {
 public:
  void AddBytes(const void* data, std::size_t size_bytes) {
    const auto* bytes = static_cast<const unsigned char*>(data);
    for (std::size_t i = 0; i < size_bytes; ++i) value_ = (value_ ^ bytes[i]) * 0x100000001b3ull;
  }
  void Add(std::uint64_t number) { AddBytes(&number, sizeof(number)); }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325ull;
};

template <typename T>
void Put(std::string* text, T value) {
  text->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

template <typename T>
T Get(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

std::string AbsoluteVariable(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && value[0] == '/' ? value : "";
}

}  // namespace

void SortByHeat(std::vector<HotExpert>* experts) {
  std::sort(experts->begin(), experts->end(), [](const HotExpert& a, const HotExpert& b) {
    if (a.heat != b.heat) return a.heat > b.heat;
    return a.layer != b.layer ? a.layer < b.layer : a.expert < b.expert;
  });
}

std::uint64_t IdentityOf(const ExpertBank& bank, std::span<const std::int64_t> modified_ns) {
  Hash hash;
  hash.Add(static_cast<std::uint64_t>(bank.n_experts));
  hash.Add(bank.layers.size());
  for (const ExpertLayerLayout& layer : bank.layers) {
    hash.Add(layer.slabs.size());
    for (const SlabLayout& slab : layer.slabs) {
      hash.Add(static_cast<std::uint64_t>(slab.file_index));
      hash.Add(slab.offset);
      hash.Add(slab.size_bytes);
      hash.Add(static_cast<std::uint64_t>(slab.dtype));
    }
  }
  for (int i = 0; i < bank.directory->n_files(); ++i)
    hash.Add(bank.directory->file(i).size_bytes());
  for (const std::int64_t time : modified_ns) hash.Add(static_cast<std::uint64_t>(time));
  return hash.value();
}

std::string EncodeHeat(std::uint64_t identity, std::span<const HotExpert> experts) {
  std::string text(kMagic, sizeof(kMagic));
  Put(&text, kVersion);
  Put(&text, static_cast<std::uint32_t>(experts.size()));
  Put(&text, identity);
  for (const HotExpert& hot : experts) {
    Put(&text, static_cast<std::uint16_t>(hot.layer));
    Put(&text, static_cast<std::uint16_t>(hot.expert));
    Put(&text, hot.heat);
  }
  Hash hash;
  hash.AddBytes(text.data(), text.size());
  Put(&text, hash.value());
  return text;
}

Result<std::vector<HotExpert>> DecodeHeat(std::span<const std::byte> bytes, std::uint64_t identity,
                                          int n_layers, int n_experts) {
  if (bytes.size() < kHeaderBytes + kChecksumBytes ||
      std::memcmp(bytes.data(), kMagic, sizeof(kMagic)) != 0) {
    return DataError("no file of remembered experts");
  }
  if (Get<std::uint32_t>(bytes.data() + 8) != kVersion) return DataError("another version");
  const std::size_t n_entries = Get<std::uint32_t>(bytes.data() + 12);
  if ((bytes.size() - kHeaderBytes - kChecksumBytes) / kEntryBytes != n_entries ||
      (bytes.size() - kHeaderBytes - kChecksumBytes) % kEntryBytes != 0) {
    return DataError("cut short or too long");
  }
  Hash hash;
  hash.AddBytes(bytes.data(), bytes.size() - kChecksumBytes);
  if (Get<std::uint64_t>(bytes.data() + bytes.size() - kChecksumBytes) != hash.value()) {
    return DataError("damaged");
  }
  if (Get<std::uint64_t>(bytes.data() + 16) != identity) return DataError("of another model");
  std::vector<HotExpert> experts;
  std::unordered_set<std::uint32_t> seen;
  for (std::size_t i = 0; i < n_entries; ++i) {
    const std::byte* at = bytes.data() + kHeaderBytes + i * kEntryBytes;
    const HotExpert hot = {Get<std::uint16_t>(at), Get<std::uint16_t>(at + 2), Get<float>(at + 4)};
    if (hot.layer >= n_layers || hot.expert >= n_experts || !(hot.heat > 0) ||
        !std::isfinite(hot.heat) || !seen.insert(Get<std::uint32_t>(at)).second) {
      return DataError("it names experts that cannot be");
    }
    experts.push_back(hot);
  }
  return experts;
}

std::string HeatFilePath(const std::string& model_path) {
  std::string folder = AbsoluteVariable("XDG_CACHE_HOME");
  if (folder.empty()) {
    folder = AbsoluteVariable("HOME");
    if (folder.empty()) return "";
    folder += "/.cache";
  }
  std::error_code error;
  const std::filesystem::path whole = std::filesystem::weakly_canonical(model_path, error);
  const std::string full = error ? model_path : whole.string();
  Hash hash;
  hash.AddBytes(full.data(), full.size());
  std::string name = std::filesystem::path(full).stem().string().substr(0, 100);
  return fmt::format("{}/larder/{}-{:016x}.heat", folder, name, hash.value());
}

Result<std::vector<HotExpert>> ReadHeatFile(const std::string& path, std::uint64_t identity,
                                            int n_layers, int n_experts) {
  std::error_code error;
  const std::uintmax_t size_bytes = std::filesystem::file_size(path, error);
  if (error) return NotFound("there is no file {}", path);
  if (size_bytes > kLargestFileBytes) return DataError("{} is too large", path);
  std::ifstream in(path, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(in), {});
  return DecodeHeat(std::as_bytes(std::span(text)), identity, n_layers, n_experts);
}

Status WriteHeatFile(const std::string& path, std::uint64_t identity,
                     std::span<const HotExpert> experts) {
  const auto failed = [&path] {
    return IoError("cannot write {}: {}", path, std::generic_category().message(errno));
  };
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), error);
  // A name of its own: two Larders may end at the same moment. What a crash tears is not believed.
  std::string temporary = path + ".XXXXXX";
  const int fd = mkstemp(temporary.data());
  if (fd < 0) return failed();
  const std::string text = EncodeHeat(identity, experts);
  const bool is_written = write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
  const bool is_closed = close(fd) == 0;
  if (is_written && is_closed && std::rename(temporary.c_str(), path.c_str()) == 0) {
    return Status::Ok();
  }
  const Status status = failed();
  std::remove(temporary.c_str());
  return status;
}

}  // namespace larder
