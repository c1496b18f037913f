// Built without libedit: lines come plain.
#include "cli/line_reader.h"

namespace larder {

std::unique_ptr<LineReader> MakeEditReader(const std::string&, std::function<bool()>) {
  return nullptr;
}

}  // namespace larder
