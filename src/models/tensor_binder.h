// TensorBinder: collects the tensors an architecture asks for while checking presence, shape and
// type, and remembers the first failure, so that a model's list of weights reads as a list.
#pragma once

#include <initializer_list>
#include <string>
#include <unordered_set>

#include "base/status.h"
#include "models/model.h"

namespace larder {

class TensorBinder {
 public:
  /// Adds what it finds to `layout`; both outlive the binder.
  TensorBinder(const TensorDirectory* directory, ModelLayout* layout)
      : directory_(directory), layout_(layout) {}

  bool Has(const std::string& name) const { return directory_->Find(name) != nullptr; }

  /// A dense matrix of any type, or a vector of floats, with GGUF dims (fastest first).
  void Matrix(const std::string& name, std::initializer_list<std::int64_t> dims);
  void Vector(const std::string& name, std::initializer_list<std::int64_t> dims);
  /// The embedding; dense too when it is also the output matrix.
  void Embedding(const std::string& name, std::initializer_list<std::int64_t> dims, bool tied);
  /// One streamed slab of a layer: stacked experts [n_cols, n_rows, n_experts].
  void ExpertSlab(const std::string& name, std::initializer_list<std::int64_t> dims,
                  ExpertLayerLayout* layer);

  /// The first failure, or ok; lists tensors nobody asked for as unused.
  Status Finish();

 private:
  const TensorInfo* Find(const std::string& name, std::initializer_list<std::int64_t> dims);

  const TensorDirectory* directory_;
  ModelLayout* layout_;
  std::unordered_set<std::string> used_;
  Status status_;
};

}  // namespace larder
