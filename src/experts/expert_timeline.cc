// Events to CSV.
#include "experts/expert_timeline.h"

#include <cstdio>

namespace larder {
namespace {

const char* NameOf(TimelineKind kind) {
  switch (kind) {
    case TimelineKind::kRequest:
      return "request";
    case TimelineKind::kReadBegun:
      return "read";
    case TimelineKind::kReadDone:
      return "done";
    case TimelineKind::kAheadBegun:
      return "ahead";
    case TimelineKind::kAheadDone:
      return "ahead-done";
    case TimelineKind::kComputed:
      return "computed";
    case TimelineKind::kLayerEnd:
      return "layer-end";
  }
  return "";
}

}  // namespace

Status ExpertTimeline::WriteCsv(const std::string& path) const {
  std::FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) return IoError("cannot write {}; check the folder", path);
  std::fputs("us,event,layer,expert\n", file);
  for (const Event& event : events_) {
    std::fprintf(file, "%lld,%s,%d,%d\n",
                 static_cast<long long>(event.at_us - events_.front().at_us), NameOf(event.kind),
                 event.layer, event.expert);
  }
  const bool is_whole = std::ferror(file) == 0;
  if (std::fclose(file) != 0 || !is_whole) return IoError("writing {} failed; disk full?", path);
  return Status::Ok();
}

}  // namespace larder
