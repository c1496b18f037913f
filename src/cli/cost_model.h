// The cost model of docs/cost-model.md: from the bytes of a model, the figures of a machine and the
// statistics of routing to tokens per second, and where the time goes. Pure functions; nothing here
// measures or reads.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "cli/machine_figures.h"
#include "cli/routing_statistics.h"
#include "models/model.h"

namespace larder {

/// Weights of one type that are multiplied together.
struct WeightCost {
  DType dtype = DType::kF32;
  double n_elements = 0;
  double n_bytes = 0;
};

/// What a model costs, whatever the machine.
struct ModelCosts {
  int n_layers = 0;
  int n_experts = 0;
  int n_used = 0;
  std::vector<WeightCost> dense;   // of all layers together, by type
  std::vector<WeightCost> output;  // the output matrix
  std::vector<WeightCost> router;  // of `dense`; a guess of the lookahead multiplies them again
  std::vector<WeightCost> expert;  // one expert, the mean of all layers
  double n_slabs = 0;              // reads that fetch one expert
  double state_bytes = 0;          // recurrent state, read and written by every token
  double kv_bytes_per_position = 0;
  double attention_multiply_adds = 0;  // per token and position before it
  double file_bytes = 0;               // all tensors

  double record_bytes() const;
};

/// Of a bound model with keys and values of `kv_dtype`.
ModelCosts CostsOf(const Model& model, DType kv_dtype);

/// Seconds of one token's products with `weights`: alone, or as one of `n_tokens` together.
double ProductSeconds(const std::vector<WeightCost>& weights, const MachineFigures& machine,
                      double n_tokens = 1);

/// Where an answer token's time goes; the parts add up to the whole.
struct DecodeSeconds {
  double dense = 0;      // layers without their experts: products, state, what else there is
  double attention = 0;  // over the cache
  double experts = 0;    // computing them
  double disk = 0;       // asking for reads and waiting for them
  double output = 0;
  double total() const { return dense + attention + experts + disk + output; }
};

enum class Foresight {
  kNone,       // reads begin when the router has chosen
  kLookahead,  // as the lookahead of given recall does
  kPerfect,    // reads run all the time: max(disk, memory), which nothing beats
};

struct DecodeCase {
  double position = 0;  // tokens before this one
  Foresight foresight = Foresight::kLookahead;
  double recall = 0.75;
  double resident_share = 0;  // of all experts: how many wrong guesses are absent
  double DiskReadRate::*disk = &DiskReadRate::bytes_per_second;
};

/// Per layer the dense part, then reads beside products (DESIGN's pipeline): residents first, the
/// others as they come. Averaged over how many experts a layer's request misses; one that misses
/// more takes no less.
DecodeSeconds PredictDecode(const ModelCosts& model, const MachineFigures& machine,
                            const AnswerStatistics& routing, const DecodeCase& options);

/// The mean of PredictDecode over the disk's states: the slowest, the middle (twice) and the
/// fastest round of its probe. What a slow moment costs, a fast one does not give back where other
/// work hides the reads. `options.disk` is not looked at.
DecodeSeconds ExpectedDecode(const ModelCosts& model, const MachineFigures& machine,
                             const AnswerStatistics& routing, DecodeCase options);

struct PrefillSeconds {
  double compute = 0;
  double disk = 0;  // waiting for reads
  double total() const { return compute + disk; }
};

struct PrefillCase {
  double n_tokens = 0;      // of the prompt
  double batch_tokens = 0;  // at once
  bool overlaps = true;     // the dense part hides reads of the same layer (lookahead)
  double DiskReadRate::*disk = &DiskReadRate::bytes_per_second;
};

/// A prompt in batches: per layer all its tokens' dense part, and every expert they use read once.
/// A machine that does not say how fast it multiplies gives the disk's part alone.
PrefillSeconds PredictPrefill(const ModelCosts& model, const MachineFigures& machine,
                              const PromptStatistics& routing, const PrefillCase& options);

/// The mean of PredictPrefill over the disk's states, as in ExpectedDecode.
PrefillSeconds ExpectedPrefill(const ModelCosts& model, const MachineFigures& machine,
                               const PromptStatistics& routing, PrefillCase options);

}  // namespace larder
