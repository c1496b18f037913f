// Forecast: what Engine::Load would decide, for any budget, from a model's headers alone. Owns the
// open file, the bound model and what counts in the process (tokenizer, threads, reader). One
// thread.
#pragma once

#include <cstdint>
#include <memory>

#include "base/status.h"
#include "engine/engine.h"

namespace larder {

/// The positions that a session keeps: those asked for, and for 0 as many as the model was trained
/// for, at most 4096. kInvalidArgument when it was trained for fewer.
Result<std::int64_t> ChooseContext(std::int64_t asked, std::int64_t trained);

class Forecast {
 public:
  /// Opens the file as Load does and measures the process, unless the options fix process_bytes.
  /// The options' budget is not used.
  static Result<std::unique_ptr<Forecast>> Open(const EngineOptions& options);
  ~Forecast();
  Forecast(const Forecast&) = delete;
  Forecast& operator=(const Forecast&) = delete;

  const Model& model() const;
  const Metadata& metadata() const;
  std::uint64_t process_bytes() const;
  std::uint64_t SmallestBudget() const;
  /// kOutOfMemory names the smallest budget that works.
  Result<EnginePlan> Plan(std::uint64_t budget_bytes) const;

 private:
  struct Impl;
  explicit Forecast(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace larder
