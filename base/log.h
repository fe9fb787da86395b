// Logging: lines on stderr, as text for people or as JSON for machines. Never rows, never secrets.
//
// Levels: error = the pipeline stops or a human is needed; warning = it goes on, but look;
// info = a change of state; debug = for developers. Thread-safe.
#pragma once

#include <string_view>
#include <utility>

#include <fmt/format.h>

namespace pgflow::base {

enum class LogLevel { kDebug, kInfo, kWarning, kError };
enum class LogFormat { kConsole, kJson };

// Called once by main, before any thread starts.
void ConfigureLog(LogFormat format, LogLevel minimum);

void LogLine(LogLevel level, std::string_view message);

template <typename... Args>
void LogDebug(fmt::format_string<Args...> format, Args&&... args) {
  LogLine(LogLevel::kDebug, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogInfo(fmt::format_string<Args...> format, Args&&... args) {
  LogLine(LogLevel::kInfo, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogWarning(fmt::format_string<Args...> format, Args&&... args) {
  LogLine(LogLevel::kWarning, fmt::format(format, std::forward<Args>(args)...));
}
template <typename... Args>
void LogError(fmt::format_string<Args...> format, Args&&... args) {
  LogLine(LogLevel::kError, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace pgflow::base
