// The dead letter file: a copy of a queue's letters for people, and what earlier versions wrote.
#pragma once

#include <string>
#include <vector>

#include <absl/status/status.h>
#include <absl/status/statusor.h>

namespace pgflow::engine {

// Its lines, without empty ones; none when there is no such file.
absl::StatusOr<std::vector<std::string>> ReadLetterFile(const std::string& path);
// The letters in a line: usually it is one. A full disk may have cut a letter, and the next one
// then follows in the same line. What is no letter goes to `damaged`.
std::vector<std::string> SplitLetters(const std::string& line, std::vector<std::string>& damaged);
// Lines behind what is there; a line that was cut stays one of its own. On disk when it returns.
absl::Status AppendLetters(const std::string& path, const std::vector<std::string>& lines);
// All of these or what was there before, whenever the machine stops.
absl::Status ReplaceLetterFile(const std::string& path, const std::vector<std::string>& lines);
// The sink that a line names; empty when it is no letter.
std::string SinkOfLetter(const std::string& line);

}  // namespace pgflow::engine
