// MachineFigures: what a machine can do, as the cost model needs it: how fast its disk, its memory
// and its products are. Measured (machine_probe.h), read from a file, or kept per machine in the
// user's cache folder. Plain data, JSON.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "tensor/dtype.h"

namespace larder {

/// Random direct reads of one size, `depth` of them in flight.
struct DiskReadRate {
  std::uint64_t read_bytes = 0;
  int depth = 0;
  double bytes_per_second = 0;  // median of a few rounds
  double lowest = 0;            // slowest and fastest round
  double highest = 0;
};

/// Products with weights of one type that lie in memory, all threads.
struct ProductRate {
  static constexpr double kFewTokens = 4;
  static constexpr double kManyTokens = 64;

  DType dtype = DType::kQ8_0;
  double bytes_per_second = 0;              // of weights, one token
  double multiply_adds_per_second = 0;      // kManyTokens or more; 0: not known
  double few_multiply_adds_per_second = 0;  // kFewTokens; 0: not known
};

struct MachineFigures {
  std::string name;
  std::string disk;  // which disk, in words
  int n_threads = 0;
  std::uint64_t memory_bytes = 0;  // the machine's; 0: not said
  std::optional<std::uint64_t> disk_free_bytes;
  double memory_bytes_per_second = 0;
  std::vector<DiskReadRate> disk_rates;  // at least one
  std::vector<ProductRate> products;     // none: products run at the memory rate
  double state_bytes_per_second = 0;     // the delta rule's state, one token; 0: at the memory rate
  double layer_overhead_seconds = 0;     // of what no other figure covers, per layer and token
  double read_cpu_seconds = 0;           // a processor's time for one read of the disk
  double multiply_adds_per_second = 0;   // of types that `products` lacks; 0: not known

  /// Rate of `n_bytes` asked for at once in reads of `read_bytes` (at most 16 in flight): the
  /// nearest sizes and depths measured, linear between them. `which` picks a member of
  /// DiskReadRate.
  double DiskBytesPerSecond(double read_bytes, double n_bytes,
                            double DiskReadRate::*which = &DiskReadRate::bytes_per_second) const;
  /// Whose products stand for those of a type that `products` lacks: among floats for a float,
  /// among quantized types for others (where there are any), the nearest in bits per weight, the
  /// slower of two as near. nullptr: the type's own are known, or none are.
  const ProductRate* StandInFor(DType dtype) const;
  /// The rate of a type's products. A stand-in's is taken per weight or per byte, whichever takes
  /// longer, so that a type that nobody measured is never faster than one that was;
  /// `multiply_adds_per_second` goes before the stand-in's.
  ProductRate RateOf(DType dtype) const;
};

nlohmann::json ToJson(const MachineFigures& figures);

/// From JSON text; kInvalidArgument names what is missing, unknown or not a positive number. The
/// least is
/// {"disk_bytes_per_second": 17.5e9, "memory_bytes_per_second": 400e9}.
Result<MachineFigures> ParseMachineFigures(const std::string& text);

/// XDG_CACHE_HOME/larder, else ~/.cache/larder; empty when there is neither.
std::string CacheFolder();
/// The file that keeps the figures of this machine with this disk and so many threads.
std::string MachineFilePath(const std::string& cpu, const std::string& disk, int n_threads);
/// kNotFound when nothing is kept there. A machine without a name gets the file's.
Result<MachineFigures> LoadMachineFigures(const std::string& path);
/// Makes the folder; an existing file is replaced at once.
Status SaveMachineFigures(const MachineFigures& figures, const std::string& path);

}  // namespace larder
