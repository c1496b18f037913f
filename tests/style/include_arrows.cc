// The include arrows of the house as a table, and the check that reads a file's #include lines
// against it. Unit tests obey the same arrows as the code beside them.
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "style_checks.h"

namespace larder::style {

namespace {

// What a room may include besides itself and base: whole rooms, or one header of a room.
const std::map<std::string, std::set<std::string>>& Arrows() {
  static const std::map<std::string, std::set<std::string>> arrows = {
      {"base", {}},
      {"io", {}},
      {"tensor", {}},
      {"kernels", {"tensor"}},
      {"format", {"io", "tensor"}},
      {"text", {"format/metadata.h"}},
      {"sample", {"text"}},
      {"experts", {"io", "format", "tensor"}},
      {"state", {"io", "tensor"}},
      {"models", {"kernels/ops.h", "experts", "state", "format", "tensor"}},
      {"engine", {"models", "experts", "state", "format", "text", "sample", "io", "kernels"}},
      {"server", {"engine", "text", "sample"}},
      // The command line measures and inspects every room (bench, inspect, quantize, synth).
      {"cli",
       {"server", "engine", "text", "sample", "models", "state", "experts", "format", "kernels",
        "tensor", "io"}},
  };
  return arrows;
}

// JSON stops here; below are plain structs. cli prints reports as JSON.
const std::set<std::string>& RoomsWithJson() {
  static const std::set<std::string> rooms = {"server", "text", "format", "cli"};
  return rooms;
}

std::string RoomOf(const std::string& path) {
  const std::size_t slash = path.find('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

// The complaint about one #include of `target` in a file of `room`; empty when it is allowed.
std::string Complaint(const std::string& room, const std::string& target, bool quoted) {
  if (target.rfind("nlohmann/", 0) == 0) {
    return RoomsWithJson().count(room) != 0 ? "" : "JSON stops at server, text, format and cli";
  }
  const std::string target_room = RoomOf(target);
  const bool is_room = Arrows().count(target_room) != 0;
  if (!quoted) return is_room ? "our own headers are included with quotes" : "";
  if (target == "version.h") return "";
  if (!is_room) return "quoted includes are written from src: \"room/file.h\"";
  if (target_room == room || target_room == "base") return "";
  const std::set<std::string>& allowed = Arrows().at(room);
  if (allowed.count(target_room) != 0 || allowed.count(target) != 0) return "";
  for (const std::string& one : allowed) {
    if (RoomOf(one) == target_room) return room + " may include only " + one + " of " + target_room;
  }
  return room + " may not include " + target_room;
}

}  // namespace

std::vector<std::string> CheckIncludes(const std::string& path, std::string_view text) {
  const std::string inside = path.substr(path.find('/') + 1);
  const std::string room = RoomOf(inside);
  if (Arrows().count(room) == 0) return {path + ":1: '" + room + "' is not a room of the house"};
  static const std::regex include(R"re(^\s*#\s*include\s*([<"])([^>"]+)[>"])re");
  std::vector<std::string> complaints;
  std::istringstream lines{std::string(text)};
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::smatch match;
    if (!std::regex_search(line, match, include)) continue;
    const std::string why = Complaint(room, match[2], match[1] == "\"");
    if (why.empty()) continue;
    complaints.push_back(path + ":" + std::to_string(number) + ": #include of " + match[2].str() +
                         ": " + why);
  }
  return complaints;
}

}  // namespace larder::style
