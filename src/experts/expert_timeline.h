// ExpertTimeline: what happened to requests and reads and when, for `bench --timeline`. One thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/status.h"

namespace larder {

enum class TimelineKind {
  kRequest,     // the router is known; `expert` is how many it asks for
  kReadBegun,   // of a missing expert
  kReadDone,    // seen complete
  kAheadBegun,  // the same for the lookahead
  kAheadDone,
  kComputed,  // `expert` is how many were multiplied together
  kLayerEnd,
};

class ExpertTimeline {
 public:
  void Add(TimelineKind kind, int layer, int expert) {
    events_.push_back({NowUs(), kind, layer, expert});
  }

  /// CSV: us,event,layer,expert; us from the first event.
  Status WriteCsv(const std::string& path) const;

 private:
  struct Event {
    std::int64_t at_us;
    TimelineKind kind;
    std::int32_t layer;
    std::int32_t expert;
  };
  std::vector<Event> events_;
};

}  // namespace larder
