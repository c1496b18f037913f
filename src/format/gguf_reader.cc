// Putting the parts of a model together. A part's own checks are in gguf_parser.cc; here: which
// files belong together, and that they agree.
#include "format/gguf_reader.h"

#include <sys/stat.h>

#include <utility>
#include <vector>

#include "format/gguf_parser.h"
#include "format/gguf_split.h"

namespace larder {

namespace {

constexpr const char* kSplitNo = "split.no";
constexpr const char* kSplitCount = "split.count";
constexpr const char* kSplitTensors = "split.tensors.count";

struct OpenPart {
  std::unique_ptr<File> file;
  GgufPart part;
};

Result<OpenPart> OpenOnePart(const std::string& path) {
  OpenPart open;
  LARDER_ASSIGN_OR_RETURN(open.file, File::Open(path));
  LARDER_ASSIGN_OR_RETURN(open.part, ParseGgufPart(FileSource(*open.file), path));
  return open;
}

bool Exists(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0;
}

// split.* of one part, with the file's name in errors.
Result<std::uint64_t> GetSplit(const OpenPart& open, const char* key, std::uint64_t fallback) {
  auto value = open.part.metadata.GetUintOr(key, fallback);
  if (!value.ok()) return value.status().WithContext(open.file->path());
  return value;
}

// The split this first file opens, or nothing when the model is one file.
Result<std::optional<SplitName>> FindSplit(const OpenPart& first) {
  const std::string& path = first.file->path();
  LARDER_ASSIGN_OR_RETURN(const std::uint64_t n_parts, GetSplit(first, kSplitCount, 1));
  LARDER_ASSIGN_OR_RETURN(const std::uint64_t index, GetSplit(first, kSplitNo, 0));
  if (n_parts <= 1 && index == 0) return std::optional<SplitName>();
  if (index >= n_parts) {
    return DataError("{}: it says that it is part {} of {}; the file is damaged, download it again",
                     path, index + 1, n_parts);
  }
  const auto name = ParseSplitName(path);
  const bool name_fits = name.has_value() &&
                         static_cast<std::uint64_t>(name->number) == index + 1 &&
                         static_cast<std::uint64_t>(name->n_parts) == n_parts;
  if (!name_fits) {
    return InvalidArgument(
        "{} is part {} of {} of a split model but is not named so; rename it to end in "
        "-{:05}-of-{:05}.gguf, like the other parts beside it",
        path, index + 1, n_parts, index + 1, n_parts);
  }
  if (index != 0) {
    return InvalidArgument("{} is part {} of {} of a split model; give the first part, {}", path,
                           index + 1, n_parts, name->PartPath(1));
  }
  return name;
}

Status CheckPartsExist(const SplitName& split) {
  int n_missing = 0;
  int first_missing = 0;
  for (int number = 2; number <= split.n_parts; ++number) {
    if (Exists(split.PartPath(number))) continue;
    if (n_missing == 0) first_missing = number;
    ++n_missing;
  }
  if (n_missing == 0) return Status::Ok();
  const std::string others = n_missing > 1 ? fmt::format(" (and {} more)", n_missing - 1) : "";
  return NotFound("part {} of {} of this model is missing: {}{}; download it into the same folder",
                  first_missing, split.n_parts, split.PartPath(first_missing), others);
}

Status CheckLaterPart(const OpenPart& open, const SplitName& split, int number) {
  LARDER_ASSIGN_OR_RETURN(const std::uint64_t n_parts, GetSplit(open, kSplitCount, 0));
  LARDER_ASSIGN_OR_RETURN(const std::uint64_t index, GetSplit(open, kSplitNo, 0));
  const bool fits = n_parts == static_cast<std::uint64_t>(split.n_parts) &&
                    index == static_cast<std::uint64_t>(number - 1);
  if (fits) return Status::Ok();
  return DataError(
      "{} says that it is part {} of {}, and its name says {} of {}; it belongs to another model "
      "or "
      "was renamed, download it again",
      open.file->path(), index + 1, n_parts, number, split.n_parts);
}

Status AddPart(OpenPart open, GgufModel* model) {
  const std::string path = open.file->path();
  const int file_index = model->tensors.AddFile(std::move(open.file));
  for (TensorInfo& tensor : open.part.tensors) {
    tensor.file_index = file_index;
    const Status status = model->tensors.AddTensor(std::move(tensor));
    if (!status.ok()) return status.WithContext(path);
  }
  return Status::Ok();
}

Status AddLaterParts(const SplitName& split, std::uint64_t n_tensors_claimed, GgufModel* model) {
  LARDER_RETURN_IF_ERROR(CheckPartsExist(split));
  for (int number = 2; number <= split.n_parts; ++number) {
    LARDER_ASSIGN_OR_RETURN(OpenPart open, OpenOnePart(split.PartPath(number)));
    LARDER_RETURN_IF_ERROR(CheckLaterPart(open, split, number));
    LARDER_RETURN_IF_ERROR(AddPart(std::move(open), model));
  }
  const std::size_t n_tensors = model->tensors.tensors().size();
  if (n_tensors == n_tensors_claimed) return Status::Ok();
  return DataError(
      "{}: the parts hold {} tensors together and should hold {}; they are not of one model, "
      "download all again",
      split.PartPath(1), n_tensors, n_tensors_claimed);
}

}  // namespace

Result<GgufModel> OpenGguf(const std::string& path) {
  LARDER_ASSIGN_OR_RETURN(OpenPart first, OpenOnePart(path));
  LARDER_ASSIGN_OR_RETURN(const auto split, FindSplit(first));
  GgufModel model;
  model.metadata = std::move(first.part.metadata);
  const Result<std::uint64_t> n_tensors = model.metadata.GetUint(kSplitTensors);
  LARDER_RETURN_IF_ERROR(AddPart(std::move(first), &model));
  if (split.has_value()) {
    if (!n_tensors.ok()) return n_tensors.status().WithContext(path);
    LARDER_RETURN_IF_ERROR(AddLaterParts(*split, *n_tensors, &model));
  }
  for (const char* key : {kSplitNo, kSplitCount, kSplitTensors}) model.metadata.Erase(key);
  return model;
}

}  // namespace larder
