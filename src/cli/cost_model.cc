// The formulas.
#include "cli/cost_model.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <string_view>

namespace larder {

namespace {

constexpr double kFloatBytes = sizeof(float);

std::vector<WeightCost> Flatten(const std::map<DType, WeightCost>& by_type) {
  std::vector<WeightCost> costs;
  for (const auto& [dtype, cost] : by_type) {
    costs.push_back(cost);
    costs.back().dtype = dtype;
  }
  return costs;
}

void Add(const TensorInfo& tensor, std::map<DType, WeightCost>* costs) {
  WeightCost& cost = (*costs)[tensor.dtype];
  cost.n_elements += static_cast<double>(tensor.n_elements());
  cost.n_bytes += static_cast<double>(tensor.size_bytes);
}

double Bytes(const std::vector<WeightCost>& weights) {
  double sum = 0;
  for (const WeightCost& cost : weights) sum += cost.n_bytes;
  return sum;
}

double Over(double amount, double rate) { return rate > 0 ? amount / rate : 0; }

// A disk that others use changes from second to second: its states, and how often each counts.
struct DiskState {
  double DiskReadRate::*rate;
  double share;
};
constexpr DiskState kDiskStates[] = {{&DiskReadRate::lowest, 0.25},
                                     {&DiskReadRate::bytes_per_second, 0.5},
                                     {&DiskReadRate::highest, 0.25}};

struct ReadAhead {
  double useful = 0;  // experts
  double wasted = 0;
};

// What the lookahead reads before the layer's request, of `n_missed` experts that it misses: what
// it guesses right, as far as the disk has time for right and wrong guesses in the dense part.
ReadAhead PredictReadAhead(double n_missed, double dense_s, double expert_read_s,
                           const ModelCosts& model, const DecodeCase& options) {
  if (options.foresight != Foresight::kLookahead) return {};
  const double n_right = options.recall * n_missed;
  const double n_wrong =
      (1 - options.recall) * model.n_used * std::max(0.0, 1 - options.resident_share);
  if (n_right <= 0 || expert_read_s <= 0) return {};
  const double n_read = std::min(n_right + n_wrong, dense_s / expert_read_s);
  const double share_useful = n_right / (n_right + n_wrong);
  return {n_read * share_useful, n_read * (1 - share_useful)};
}

struct LayerSeconds {
  double dense = 0;
  double expert = 0;  // computing one
};

LayerSeconds LayerOf(const ModelCosts& model, const MachineFigures& machine) {
  const double state_rate = machine.state_bytes_per_second > 0 ? machine.state_bytes_per_second
                                                               : machine.memory_bytes_per_second;
  const double n_layers = std::max(model.n_layers, 1);
  return {(ProductSeconds(model.dense, machine) + Over(model.state_bytes, state_rate)) / n_layers +
              machine.layer_overhead_seconds,
          ProductSeconds(model.expert, machine)};
}

// What a layer spends on the disk besides its products when its request misses so many experts:
// asking, and waiting. Residents are computed first, the others as they come: the first read may
// keep their products waiting, and the last one's product comes after all reads.
double LayerDiskSeconds(double n_missed, const LayerSeconds& layer, const ModelCosts& model,
                        const MachineFigures& machine, const DecodeCase& options) {
  const double record = model.record_bytes();
  const double slab = record / std::max(model.n_slabs, 1.0);
  const double rate = machine.DiskBytesPerSecond(slab, n_missed * record, options.disk);
  const double read_s = Over(record, rate);
  const ReadAhead ahead = PredictReadAhead(n_missed, layer.dense, read_s, model, options);
  const double left = n_missed - ahead.useful;
  const double one = std::min(left, 1.0);
  const double products_s = model.n_used * layer.expert;
  const double first_s = one * read_s + left * layer.expert;
  const double last_s = left * read_s + one * layer.expert;
  const double ask_s = (n_missed + ahead.wasted) * model.n_slabs * machine.read_cpu_seconds;
  return ask_s + std::max({0.0, first_s - products_s, last_s - products_s});
}

}  // namespace

double ModelCosts::record_bytes() const { return Bytes(expert); }

ModelCosts CostsOf(const Model& model, DType kv_dtype) {
  const ModelLayout& layout = model.layout();
  ModelCosts costs;
  costs.n_layers = model.shape().n_layers;
  costs.n_experts = model.shape().n_experts;
  costs.n_used = model.shape().n_used;
  std::map<DType, WeightCost> dense;
  std::map<DType, WeightCost> output;
  std::map<DType, WeightCost> router;
  for (const TensorInfo* tensor : layout.dense) {
    const bool in_layer = std::string_view(tensor->name).substr(0, 4) == "blk.";
    Add(*tensor, in_layer ? &dense : &output);
    if (std::string_view(tensor->name).find(".ffn_gate_inp.") != std::string_view::npos) {
      Add(*tensor, &router);
    }
  }
  costs.dense = Flatten(dense);
  costs.output = Flatten(output);
  costs.router = Flatten(router);
  std::map<DType, WeightCost> expert;
  const double n_layers = std::max(costs.n_layers, 1);
  for (const ExpertLayerLayout& layer : layout.bank.layers) {
    for (const SlabLayout& slab : layer.slabs) {
      WeightCost& cost = expert[slab.dtype];
      cost.n_elements += static_cast<double>(slab.n_rows * slab.n_cols) / n_layers;
      cost.n_bytes += static_cast<double>(slab.size_bytes) / n_layers;
      costs.n_slabs += 1 / n_layers;
    }
  }
  costs.expert = Flatten(expert);
  StateShape state = model.state_shape();
  state.kv_dtype = kv_dtype;
  costs.kv_bytes_per_position = static_cast<double>(state.KvBytesPerToken());
  const OpsLimits limits = model.ops_limits(1, 1);
  for (const LayerStateShape& layer : state.layers) {
    costs.state_bytes += kFloatBytes * static_cast<double>(layer.n_recurrent);
    if (layer.n_kv_heads > 0) {
      costs.attention_multiply_adds += 2 * static_cast<double>(limits.n_heads * limits.head_dim);
    }
  }
  if (layout.bank.directory != nullptr) {
    costs.file_bytes = static_cast<double>(layout.bank.directory->total_tensor_bytes());
  }
  return costs;
}

double ProductSeconds(const std::vector<WeightCost>& weights, const MachineFigures& machine,
                      double n_tokens) {
  constexpr double few = ProductRate::kFewTokens;
  constexpr double many = ProductRate::kManyTokens;
  double seconds = 0;
  for (const WeightCost& cost : weights) {
    const ProductRate rate = machine.RateOf(cost.dtype);
    const double one_s = Over(cost.n_bytes, rate.bytes_per_second);
    const double many_s = Over(many * cost.n_elements, rate.multiply_adds_per_second);
    const double few_s = rate.few_multiply_adds_per_second > 0
                             ? Over(few * cost.n_elements, rate.few_multiply_adds_per_second)
                             : one_s + (few - 1) / (many - 1) * std::max(0.0, many_s - one_s);
    if (n_tokens <= few) {
      seconds += one_s + std::max(0.0, n_tokens - 1) / (few - 1) * (few_s - one_s);
    } else if (n_tokens <= many) {
      seconds += few_s + (n_tokens - few) / (many - few) * (std::max(many_s, few_s) - few_s);
    } else {
      seconds += std::max(many_s, few_s) * n_tokens / many;
    }
  }
  return seconds;
}

DecodeSeconds PredictDecode(const ModelCosts& model, const MachineFigures& machine,
                            const AnswerStatistics& routing, const DecodeCase& options) {
  const double n_layers = std::max(model.n_layers, 1);
  const double memory = machine.memory_bytes_per_second;
  const LayerSeconds layer = LayerOf(model, machine);
  DecodeSeconds sum;
  sum.dense = n_layers * layer.dense;
  sum.attention = Over(model.kv_bytes_per_position * options.position, memory);
  sum.output = ProductSeconds(model.output, machine);
  double missed = 0;
  double disk_s = 0;
  for (std::size_t n = 0; n < routing.share_of_misses.size(); ++n) {
    const double share = routing.share_of_misses[n];
    const auto n_missed = static_cast<double>(n);
    missed += share * n_missed;
    // Who misses more waits no less, whatever the figures of two depths say.
    if (n > 0) {
      disk_s = std::max(disk_s, LayerDiskSeconds(n_missed, layer, model, machine, options));
    }
    sum.disk += n_layers * share * disk_s;
    sum.experts += n_layers * share * model.n_used * layer.expert;
  }
  if (options.foresight == Foresight::kLookahead && missed > 0) {
    sum.dense += ProductSeconds(model.router, machine);
  }
  if (options.foresight == Foresight::kPerfect) {
    const double record = model.record_bytes();
    const double slab = record / std::max(model.n_slabs, 1.0);
    const double rate = machine.DiskBytesPerSecond(slab, 16 * record, options.disk);
    sum.experts = n_layers * model.n_used * layer.expert;
    sum.disk = 0;
    sum.disk = std::max(0.0, n_layers * Over(missed * record, rate) - sum.total());
  }
  return sum;
}

DecodeSeconds ExpectedDecode(const ModelCosts& model, const MachineFigures& machine,
                             const AnswerStatistics& routing, DecodeCase options) {
  DecodeSeconds sum;
  for (const DiskState& state : kDiskStates) {
    options.disk = state.rate;
    const DecodeSeconds one = PredictDecode(model, machine, routing, options);
    sum.dense += state.share * one.dense;
    sum.attention += state.share * one.attention;
    sum.experts += state.share * one.experts;
    sum.disk += state.share * one.disk;
    sum.output += state.share * one.output;
  }
  return sum;
}

PrefillSeconds PredictPrefill(const ModelCosts& model, const MachineFigures& machine,
                              const PromptStatistics& routing, const PrefillCase& options) {
  const double n_layers = std::max(model.n_layers, 1);
  const double batch = std::clamp(options.batch_tokens, 1.0, std::max(options.n_tokens, 1.0));
  const double n_batches = options.n_tokens / batch;
  const double record = model.record_bytes();
  const double slab = record / std::max(model.n_slabs, 1.0);
  const double rate = machine.DiskBytesPerSecond(slab, 16 * record, options.disk);
  const double read_s = Over(routing.experts_read * record, rate);
  const double state_rate = machine.state_bytes_per_second > 0 ? machine.state_bytes_per_second
                                                               : machine.memory_bytes_per_second;
  const double floats = machine.RateOf(DType::kF16).multiply_adds_per_second;
  const double attention =
      Over(model.attention_multiply_adds * options.n_tokens * options.n_tokens / 2, floats);
  double dense_s = 0;
  double experts_s = 0;
  if (machine.multiply_adds_per_second > 0 || !machine.products.empty()) {
    dense_s = ProductSeconds(model.dense, machine, batch) / n_layers +
              batch * Over(model.state_bytes, state_rate) / n_layers +
              attention / n_batches / n_layers + machine.layer_overhead_seconds;
    const double per_expert = batch * model.n_used / std::max(routing.experts_used, 1.0);
    experts_s = routing.experts_used * ProductSeconds(model.expert, machine, per_expert);
  }
  PrefillSeconds sum;
  const double ask_s = routing.experts_read * model.n_slabs * machine.read_cpu_seconds;
  sum.compute = n_batches * n_layers * (dense_s + experts_s + ask_s) +
                (dense_s > 0 ? ProductSeconds(model.output, machine) : 0);
  const double hidden_s = options.overlaps ? dense_s + experts_s : experts_s;
  sum.disk = n_batches * n_layers * std::max(0.0, read_s - hidden_s);
  return sum;
}

PrefillSeconds ExpectedPrefill(const ModelCosts& model, const MachineFigures& machine,
                               const PromptStatistics& routing, PrefillCase options) {
  PrefillSeconds sum;
  for (const DiskState& state : kDiskStates) {
    options.disk = state.rate;
    const PrefillSeconds one = PredictPrefill(model, machine, routing, options);
    sum.compute += state.share * one.compute;
    sum.disk += state.share * one.disk;
  }
  return sum;
}

}  // namespace larder