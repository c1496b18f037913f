// Machine files, model configurations, bench reports, task files, profiles and logs of experiments:
// whatever the text, an answer or one sentence.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "cli/bench_compare.h"
#include "cli/engine_profile.h"
#include "cli/eval_task.h"
#include "cli/hf_config.h"
#include "cli/machine_figures.h"
#include "cli/tuner.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace larder;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const Result<MachineFigures> machine = ParseMachineFigures(text);
  if (machine.ok()) {
    if (!(machine->DiskBytesPerSecond(1e5, 1e6) > 0)) std::abort();
    if (!ParseMachineFigures(ToJson(*machine).dump()).ok()) std::abort();
  }
  const Result<SynthShape> shape = ParseHfConfig(text);
  if (shape.ok() && shape->n_used > shape->n_experts) std::abort();
  const auto tasks = ParseEvalTasks(text);
  if (tasks.ok() && tasks->empty()) std::abort();
  static_cast<void>(ReadBenchRows(text).ok());
  const auto profiles = ParseEngineProfiles(text);
  if (profiles.ok()) {
    const auto back = ParseEngineProfiles(ToText(*profiles));
    if (!back.ok() || back->size() != profiles->size()) std::abort();
  }
  const auto tries = ReadTuneLog(kTuneLogHeader + text);
  for (const TuneTry& one : tries.ok() ? *tries : std::vector<TuneTry>()) {
    const auto back = ReadTuneLog(kTuneLogHeader + one.Line());
    if (!back.ok() || back->size() != 1 || !(back->at(0).settings == one.settings)) std::abort();
  }
  return 0;
}
