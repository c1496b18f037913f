// Header, checksums, names; reading and writing with plain POSIX calls.
#include "state/prefix_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "base/check.h"

namespace larder {

namespace {

// Offsets in the header; numbers are little endian.
constexpr char kMagic[] = "LARDERPX";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kVersionAt = 8;
constexpr std::size_t kKindAt = 12;
constexpr std::size_t kIdentityAt = 16;
constexpr std::size_t kKeyAt = 48;
constexpr std::size_t kTokensAt = 80;
constexpr std::size_t kPayloadBytesAt = 88;
constexpr std::size_t kPayloadSumAt = 96;
constexpr std::size_t kHeaderSumAt = 120;  // over everything before

void PutNumber(std::byte* at, std::uint64_t value, std::size_t n_bytes) {
  for (std::size_t i = 0; i < n_bytes; ++i) at[i] = static_cast<std::byte>(value >> (8 * i));
}

std::uint64_t GetNumber(const std::byte* at, std::size_t n_bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < n_bytes; ++i) {
    value |= std::uint64_t{std::to_integer<std::uint8_t>(at[i])} << (8 * i);
  }
  return value;
}

// Four lanes of multiply and rotate over 64-bit words: quick, and any torn or flipped byte shows.
std::uint64_t Checksum(std::span<const std::byte> bytes) {
  constexpr std::uint64_t kOdd1 = 0x9e3779b97f4a7c15;
  constexpr std::uint64_t kOdd2 = 0xd6e8feb86659fd93;
  std::uint64_t lanes[4] = {1, 2, 3, bytes.size()};
  const auto mix = [&](std::uint64_t lane, std::uint64_t word) {
    return std::rotl((lane ^ word) * kOdd1, 29) * kOdd2;
  };
  std::size_t at = 0;
  for (; at + 32 <= bytes.size(); at += 32) {
    std::uint64_t words[4];
    std::memcpy(words, bytes.data() + at, sizeof(words));
    for (std::size_t i = 0; i < 4; ++i) lanes[i] = mix(lanes[i], words[i]);
  }
  for (; at < bytes.size(); ++at) {
    lanes[at % 4] = mix(lanes[at % 4], std::to_integer<std::uint64_t>(bytes[at]));
  }
  std::uint64_t sum = 0;
  for (const std::uint64_t lane : lanes) sum = mix(sum, lane ^ lane >> 32);
  return sum ^ sum >> 31;
}

Status Failure(const char* doing, const std::string& path) {
  return IoError("{} {} failed: {}", doing, path, std::strerror(errno));
}

// Reads exactly `out.size()` bytes, or says false: the file ends before, or the disk failed.
bool ReadAll(int fd, std::span<std::byte> out) {
  while (!out.empty()) {
    const ssize_t got = read(fd, out.data(), out.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    out = out.subspan(static_cast<std::size_t>(got));
  }
  return true;
}

bool WriteAll(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(put));
  }
  return true;
}

struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

}  // namespace

std::array<std::byte, kPrefixHeaderBytes> MakePrefixHeader(const PrefixFileFacts& facts,
                                                           std::span<const std::byte> payload) {
  LARDER_CHECK(payload.size() == facts.payload_bytes);
  std::array<std::byte, kPrefixHeaderBytes> header{};
  std::memcpy(header.data(), kMagic, 8);
  PutNumber(header.data() + kVersionAt, kVersion, 4);
  PutNumber(header.data() + kKindAt, static_cast<std::uint64_t>(facts.id.kind), 4);
  std::memcpy(header.data() + kIdentityAt, facts.identity.data(), facts.identity.size());
  std::memcpy(header.data() + kKeyAt, facts.id.key.data(), facts.id.key.size());
  PutNumber(header.data() + kTokensAt, static_cast<std::uint64_t>(facts.id.n_tokens), 8);
  PutNumber(header.data() + kPayloadBytesAt, facts.payload_bytes, 8);
  PutNumber(header.data() + kPayloadSumAt, Checksum(payload), 8);
  PutNumber(header.data() + kHeaderSumAt, Checksum(std::span(header).first(kHeaderSumAt)), 8);
  return header;
}

Status CheckPrefixHeader(std::span<const std::byte> header, const PrefixFileFacts& facts) {
  if (header.size() != kPrefixHeaderBytes) return DataError("the header is cut short");
  const std::byte* at = header.data();
  if (std::memcmp(at, kMagic, 8) != 0) return DataError("it is no file of Larder's prompt cache");
  if (GetNumber(at + kVersionAt, 4) != kVersion) return DataError("another version wrote it");
  if (GetNumber(at + kHeaderSumAt, 8) != Checksum(header.first(kHeaderSumAt))) {
    return DataError("its header is damaged");
  }
  if (std::memcmp(at + kIdentityAt, facts.identity.data(), facts.identity.size()) != 0) {
    return DataError("it belongs to another model or other settings");
  }
  if (GetNumber(at + kKindAt, 4) != static_cast<std::uint64_t>(facts.id.kind) ||
      GetNumber(at + kTokensAt, 8) != static_cast<std::uint64_t>(facts.id.n_tokens) ||
      std::memcmp(at + kKeyAt, facts.id.key.data(), facts.id.key.size()) != 0) {
    return DataError("it stands under another's name");
  }
  if (GetNumber(at + kPayloadBytesAt, 8) != facts.payload_bytes) {
    return DataError("it has another size than such a file");
  }
  return Status::Ok();
}

Status CheckPrefixPayload(std::span<const std::byte> header, std::span<const std::byte> payload) {
  if (GetNumber(header.data() + kPayloadSumAt, 8) != Checksum(payload)) {
    return DataError("its contents are damaged");
  }
  return Status::Ok();
}

Status ReadPrefixFile(const std::string& path, const PrefixFileFacts& facts,
                      std::span<std::byte> out) {
  LARDER_CHECK(out.size() == facts.payload_bytes);
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
  if (file.fd < 0) {
    return errno == ENOENT ? NotFound("{} is gone", path) : Failure("opening", path);
  }
  struct stat info {};
  if (fstat(file.fd, &info) != 0) return Failure("reading", path);
  if (!S_ISREG(info.st_mode) ||
      static_cast<std::uint64_t>(info.st_size) != kPrefixHeaderBytes + facts.payload_bytes) {
    return DataError("{} has another size than such a file", path);
  }
  std::array<std::byte, kPrefixHeaderBytes> header;
  if (!ReadAll(file.fd, header)) return IoError("{} could not be read", path);
  LARDER_RETURN_IF_ERROR(CheckPrefixHeader(header, facts).WithContext(path));
  if (!ReadAll(file.fd, out)) return IoError("{} could not be read", path);
  return CheckPrefixPayload(header, out).WithContext(path);
}

Status WritePrefixFile(const std::string& folder, const std::string& temporary,
                       const std::string& name, const PrefixFileFacts& facts,
                       std::span<const std::byte> payload) {
  const std::string from = folder + "/" + temporary;
  const std::string to = folder + "/" + name;
  const std::array<std::byte, kPrefixHeaderBytes> header = MakePrefixHeader(facts, payload);
  {
    // What people ask a model is theirs alone.
    const Descriptor file{open(from.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
    if (file.fd < 0) return Failure("writing", from);
    if (!WriteAll(file.fd, header) || !WriteAll(file.fd, payload)) {
      const Status failure = Failure("writing", from);
      unlink(from.c_str());
      return failure;
    }
  }
  if (rename(from.c_str(), to.c_str()) == 0) return Status::Ok();
  const Status failure = Failure("renaming", from);
  unlink(from.c_str());
  return failure;
}

std::string PrefixFileName(const PrefixId& id) {
  return fmt::format("{}-{}-{}", id.kind == PrefixKind::kPage ? "page" : "snapshot", id.n_tokens,
                     ToHex(id.key));
}

std::optional<PrefixId> ParsePrefixFileName(const std::string& name) {
  PrefixId id;
  const std::size_t first = name.find('-');
  const std::size_t second = first == std::string::npos ? first : name.find('-', first + 1);
  if (second == std::string::npos || name.size() - second - 1 != 2 * id.key.size()) return {};
  const std::string kind = name.substr(0, first);
  if (kind != "page" && kind != "snapshot") return {};
  id.kind = kind == "page" ? PrefixKind::kPage : PrefixKind::kSnapshot;
  const auto parse = [&name](std::size_t begin, std::size_t end, int base, auto* value) {
    const auto result = std::from_chars(name.data() + begin, name.data() + end, *value, base);
    return result.ec == std::errc() && result.ptr == name.data() + end;
  };
  if (!parse(first + 1, second, 10, &id.n_tokens) || id.n_tokens < 1) return {};
  for (std::size_t i = 0; i < id.key.size(); ++i) {
    const std::size_t at = second + 1 + 2 * i;
    if (!parse(at, at + 2, 16, &id.key[i])) return {};
  }
  // One name for one thing: no leading zeros, no capitals.
  if (PrefixFileName(id) != name) return {};
  return id;
}

}  // namespace larder
