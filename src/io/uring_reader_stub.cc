// Stands in for uring_reader.cc where the build found no liburing.
#include "io/reader_factories.h"

namespace larder {

Result<std::unique_ptr<AsyncReader>> MakeUringReader(int) {
  return Unsupported("io_uring is not built in (liburing was missing when Larder was built)");
}

}  // namespace larder
