// The default logger: stderr, "larder: text".
#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>

#include <memory>

namespace larder {

void InitLogging(spdlog::level::level_enum level) {
  auto sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  auto logger = std::make_shared<spdlog::logger>("larder", std::move(sink));
  logger->set_pattern("larder: %v");
  logger->set_level(level);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace larder
