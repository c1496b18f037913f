// HeatFile: which experts of a model were hot when it last ran, in a small file of the cache
// folder. A hint and nothing more: a file that is torn, foreign, older or of another model is as
// good as none. Plain functions over plain data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "experts/expert_bank.h"

namespace larder {

/// Heat as in MakeHeatPolicy: above 0 for what was used.
struct HotExpert {
  std::int32_t layer = 0;
  std::int32_t expert = 0;
  float heat = 0;
};

/// Hottest first; of equals the lower layer, then the lower expert.
void SortByHeat(std::vector<HotExpert>* experts);

/// A number for the model whose experts these are: where they lie in which files, the files' sizes,
/// and the times they were last written to (`modified_ns`, one per file of the bank's directory).
std::uint64_t IdentityOf(const ExpertBank& bank, std::span<const std::int64_t> modified_ns);

/// The bytes of a file for `experts` (in this order), and back. Decode checks everything: length,
/// checksum, version, identity, every layer and expert, that none comes twice.
std::string EncodeHeat(std::uint64_t identity, std::span<const HotExpert> experts);
Result<std::vector<HotExpert>> DecodeHeat(std::span<const std::byte> bytes, std::uint64_t identity,
                                          int n_layers, int n_experts);

/// $XDG_CACHE_HOME/larder (or $HOME/.cache/larder) and a name made of the model's; empty when
/// neither variable holds an absolute path.
std::string HeatFilePath(const std::string& model_path);

Result<std::vector<HotExpert>> ReadHeatFile(const std::string& path, std::uint64_t identity,
                                            int n_layers, int n_experts);
/// Makes the folder when it is missing, and replaces the file in one step.
Status WriteHeatFile(const std::string& path, std::uint64_t identity,
                     std::span<const HotExpert> experts);

}  // namespace larder
