// How records lie in slots: the aligned region of every slab, and the size classes. Derived from
// the bank alone, so that plans and stores agree; plain data, immutable.
#pragma once

#include <cstdint>
#include <vector>

#include "experts/expert_bank.h"
#include "experts/expert_store.h"

namespace larder {

struct SlotLayout {
  struct Layer {
    int class_index = -1;  // -1: the layer has no experts
    int layer_in_class = 0;
    /// Where each slab's region begins in a slot, a multiple of the alignment. A region holds the
    /// aligned superset of the slab of any expert: its data begins at offset % alignment.
    std::vector<std::uint64_t> region_offsets;
    std::uint64_t slot_bytes = 0;  // of this layer's record; at most that of its class
  };

  /// Of every direct read: the largest that the bank's files ask for.
  std::uint64_t alignment = 0;
  std::vector<Layer> layers;
  std::vector<SlotPlan::Class> classes;  // n_slots is 0
  std::vector<int> n_layers_of_class;
};

SlotLayout MakeSlotLayout(const ExpertBank& bank);

}  // namespace larder
