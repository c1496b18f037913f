// What an Engine holds; private to this room. Members are destroyed bottom up: users before what
// they use.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "engine/dense_loader.h"
#include "engine/engine.h"
#include "experts/row_store.h"
#include "io/file_watch.h"
#include "kernels/cpu_ops.h"

namespace larder {

struct Engine::Impl {
  EnginePlan plan;
  GgufModel file;
  std::unique_ptr<Model> model;
  std::unique_ptr<Tokenizer> tokenizer;
  Status tokenizer_status;
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<AsyncReader> reader;
  DenseArena dense;
  std::unique_ptr<RowStore> embedding;
  std::unique_ptr<ExpertStore> experts;
  std::unique_ptr<Ops> ops;
  PageBuffer logits_memory;  // [LogitRows, n_vocab]
  Matrix logits;
  PageBuffer gathered_memory;
  Matrix gathered_hidden;  // [LogitRows, d_model]: rows of a step whose logits are wanted
  RoutingSource* routing = nullptr;
  float expert_mass = 1;
  ExpertTimeline* timeline = nullptr;
  PhaseTimes times;
  bool checkpoint = false;
  int n_sessions_alive = 0;
  std::string heat_path;  // empty: nothing is remembered
  std::uint64_t heat_identity = 0;
  std::vector<FileWatch> watches;
  Status file_status;  // what CheckFiles found; a file does not become right again

  /// Reads what earlier runs used, and lets the store begin with it; and remembers it at the end.
  void BeginWarmStart(const std::string& model_path);
  void RememberHeat();

  /// kIoError once a file of the model has changed since it was opened.
  Status CheckFiles();
};

}  // namespace larder
