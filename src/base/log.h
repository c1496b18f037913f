// Log lines on stderr; stdout belongs to answers. Levels: quiet runs show warnings and errors only.
#pragma once

#include <spdlog/spdlog.h>

#include <utility>

namespace larder {

/// Sends spdlog's default logger to stderr in the form "larder: text"; call once in main.
void InitLogging(spdlog::level::level_enum level);

/// For a command that runs for long: what it decides by itself is shown too.
inline void ShowDecisions() { spdlog::set_level(spdlog::level::info); }

template <typename... Args>
void LogInfo(fmt::format_string<Args...> format, Args&&... args) {
  spdlog::info(format, std::forward<Args>(args)...);
}
template <typename... Args>
void LogWarning(fmt::format_string<Args...> format, Args&&... args) {
  spdlog::warn(format, std::forward<Args>(args)...);
}
template <typename... Args>
void LogDebug(fmt::format_string<Args...> format, Args&&... args) {
  spdlog::debug(format, std::forward<Args>(args)...);
}

}  // namespace larder
