// What the server needs of whoever makes the answers; the scheduler in the program, a fake in
// tests. Any thread.
#pragma once

#include <memory>
#include <vector>

#include "engine/scheduler.h"

namespace larder {

class Generator {
 public:
  virtual ~Generator() = default;

  /// As Scheduler's calls of the same names.
  virtual Result<RequestId> Submit(GenerationRequest request,
                                   std::shared_ptr<GenerationListener> listener) = 0;
  virtual void Cancel(RequestId id) = 0;
  virtual std::vector<SlotInfo> slots() const = 0;
  virtual SchedulerStats stats() const = 0;
  virtual int RetryAfterSeconds() const = 0;
};

class SchedulerGenerator : public Generator {
 public:
  explicit SchedulerGenerator(Scheduler* scheduler) : scheduler_(scheduler) {}

  Result<RequestId> Submit(GenerationRequest request,
                           std::shared_ptr<GenerationListener> listener) override {
    return scheduler_->Submit(std::move(request), std::move(listener));
  }
  void Cancel(RequestId id) override { scheduler_->Cancel(id); }
  std::vector<SlotInfo> slots() const override { return scheduler_->slots(); }
  SchedulerStats stats() const override { return scheduler_->stats(); }
  int RetryAfterSeconds() const override { return scheduler_->RetryAfterSeconds(); }

 private:
  Scheduler* scheduler_;
};

}  // namespace larder
