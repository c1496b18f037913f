// Size classes and the division of a budget among them.
#include "experts/slot_layout.h"

#include <algorithm>
#include <numeric>

#include "base/memory.h"
#include "base/size.h"

namespace larder {
namespace {

// Classes whose slot sizes differ by less than this are one.
constexpr double kMergeRatio = 1.03;
// What the store and its policy keep per slot and per record, for the budget.
constexpr std::uint64_t kBookkeepingBytesPerSlot = 64;
constexpr std::uint64_t kBookkeepingBytesPerRecord = 12;

std::uint64_t AlignmentOf(const ExpertBank& bank) {
  std::uint64_t alignment = kPageBytes;
  if (bank.directory == nullptr) return alignment;
  for (const ExpertLayerLayout& layer : bank.layers) {
    for (const SlabLayout& slab : layer.slabs) {
      const File& file = bank.directory->file(slab.file_index);
      alignment = std::lcm(alignment, std::uint64_t{file.direct_alignment()});
    }
  }
  return alignment;
}

// The largest aligned superset of any expert's slab.
std::uint64_t RegionBytes(const SlabLayout& slab, int n_experts, std::uint64_t alignment) {
  std::uint64_t largest = 0;
  for (int expert = 0; expert < n_experts; ++expert) {
    const std::uint64_t begin = slab.offset + static_cast<std::uint64_t>(expert) * slab.size_bytes;
    const std::uint64_t end = AlignUp(begin + slab.size_bytes, alignment);
    largest = std::max(largest, end - AlignDown(begin, alignment));
  }
  return largest;
}

std::int64_t LeastSlots(const ExpertBank& bank, const SlotPlan::Class& slot_class) {
  return std::min<std::int64_t>(bank.n_used, slot_class.n_records);
}

std::uint64_t SlotBytes(const std::vector<SlotPlan::Class>& classes) {
  std::uint64_t sum = 0;
  for (const auto& c : classes) sum += c.slot_bytes * static_cast<std::uint64_t>(c.n_slots);
  return sum;
}

// `share` of every class's records, but not less than a token needs.
void GiveShare(const ExpertBank& bank, double share, std::vector<SlotPlan::Class>* classes) {
  for (auto& c : *classes) {
    const auto wanted = static_cast<std::int64_t>(share * static_cast<double>(c.n_records));
    c.n_slots = std::clamp(wanted, LeastSlots(bank, c), c.n_records);
  }
}

// Hands single slots to the class with the smallest share for which one more fits.
void GiveLeftovers(std::uint64_t budget_bytes, std::vector<SlotPlan::Class>* classes) {
  while (true) {
    const std::uint64_t left_bytes = budget_bytes - SlotBytes(*classes);
    SlotPlan::Class* poorest = nullptr;
    for (auto& c : *classes) {
      if (c.n_slots == c.n_records || c.slot_bytes > left_bytes) continue;
      if (poorest == nullptr || c.n_slots * poorest->n_records < poorest->n_slots * c.n_records) {
        poorest = &c;
      }
    }
    if (poorest == nullptr) return;
    ++poorest->n_slots;
  }
}

double WasteShare(const ExpertBank& bank, const SlotLayout& layout, const SlotPlan& plan) {
  double used_bytes = 0;
  for (std::size_t i = 0; i < bank.layers.size(); ++i) {
    if (layout.layers[i].class_index < 0) continue;
    const auto& c = plan.classes[static_cast<std::size_t>(layout.layers[i].class_index)];
    const double slots_of_layer = static_cast<double>(c.n_slots) * bank.n_experts /
                                  static_cast<double>(std::max<std::int64_t>(c.n_records, 1));
    used_bytes += slots_of_layer * static_cast<double>(bank.layers[i].record_bytes());
  }
  if (plan.total_bytes == 0) return 0;
  return std::max(0.0, 1 - used_bytes / static_cast<double>(plan.total_bytes));
}

}  // namespace

SlotLayout MakeSlotLayout(const ExpertBank& bank) {
  SlotLayout layout;
  layout.alignment = AlignmentOf(bank);
  std::vector<std::uint64_t> sizes;
  for (const ExpertLayerLayout& source : bank.layers) {
    SlotLayout::Layer layer;
    for (const SlabLayout& slab : source.slabs) {
      layer.region_offsets.push_back(layer.slot_bytes);
      layer.slot_bytes += RegionBytes(slab, bank.n_experts, layout.alignment);
    }
    if (layer.slot_bytes > 0) sizes.push_back(layer.slot_bytes);
    layout.layers.push_back(std::move(layer));
  }
  std::sort(sizes.rbegin(), sizes.rend());
  for (const std::uint64_t size : sizes) {
    if (layout.classes.empty() || static_cast<double>(size) * kMergeRatio <=
                                      static_cast<double>(layout.classes.back().slot_bytes)) {
      layout.classes.push_back({size, 0, 0});
    }
  }
  layout.n_layers_of_class.assign(layout.classes.size(), 0);
  for (SlotLayout::Layer& layer : layout.layers) {
    if (layer.slot_bytes == 0) continue;
    std::size_t index = layout.classes.size() - 1;
    while (layout.classes[index].slot_bytes < layer.slot_bytes) --index;
    layer.class_index = static_cast<int>(index);
    layer.layer_in_class = layout.n_layers_of_class[index]++;
    layout.classes[index].n_records += bank.n_experts;
  }
  return layout;
}

std::uint64_t MinimumSlotBytes(const ExpertBank& bank) {
  SlotLayout layout = MakeSlotLayout(bank);
  GiveShare(bank, 0, &layout.classes);
  return SlotBytes(layout.classes);
}

std::uint64_t MaximumSlotBytes(const ExpertBank& bank) {
  SlotLayout layout = MakeSlotLayout(bank);
  GiveShare(bank, 1, &layout.classes);
  return SlotBytes(layout.classes);
}

Result<SlotPlan> PlanSlots(const ExpertBank& bank, std::uint64_t slot_budget_bytes) {
  const SlotLayout layout = MakeSlotLayout(bank);
  SlotPlan plan;
  plan.classes = layout.classes;
  GiveShare(bank, 0, &plan.classes);
  const std::uint64_t least_bytes = SlotBytes(plan.classes);
  if (least_bytes > slot_budget_bytes) {
    return OutOfMemory("one token needs {} for its experts, but only {} is left for them",
                       FormatBytes(least_bytes), FormatBytes(slot_budget_bytes));
  }
  GiveShare(bank, 1, &plan.classes);
  if (SlotBytes(plan.classes) > slot_budget_bytes) {
    double fits = 0;
    double exceeds = 1;
    for (int step = 0; step < 50; ++step) {
      const double middle = (fits + exceeds) / 2;
      GiveShare(bank, middle, &plan.classes);
      (SlotBytes(plan.classes) <= slot_budget_bytes ? fits : exceeds) = middle;
    }
    GiveShare(bank, fits, &plan.classes);
    GiveLeftovers(slot_budget_bytes, &plan.classes);
  }
  for (const SlotPlan::Class& c : plan.classes) {
    plan.n_slots += c.n_slots;
    plan.n_records += c.n_records;
  }
  plan.total_bytes = SlotBytes(plan.classes);
  plan.holds_all = plan.n_slots == plan.n_records;
  plan.waste_share = WasteShare(bank, layout, plan);
  plan.overhead_bytes = kBookkeepingBytesPerSlot * static_cast<std::uint64_t>(plan.n_slots) +
                        kBookkeepingBytesPerRecord * static_cast<std::uint64_t>(plan.n_records);
  return plan;
}

}  // namespace larder
