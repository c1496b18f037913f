// What one rendering of a template may use, and the failure that ends it. Inside the interpreter
// (jinja_*.cc) a failure is the exception Error, as in Python, because templates see kinds of
// failures (a filter falls back on a ValueError); ChatTemplate catches every one. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

namespace larder {

/// Limits of one rendering; beyond, it ends with kInvalidArgument naming the limit.
struct RenderLimits {
  std::uint64_t max_steps = 20'000'000;                   // evaluated parts; 16 bytes moved are one
  std::size_t max_memory_bytes = std::size_t{256} << 20;  // values alive at one time
  std::size_t max_output_bytes = std::size_t{64} << 20;
};

namespace jinja {

/// Python's exception classes, as far as templates can tell them apart, and our own.
enum class Fault {
  kSyntax,
  kType,
  kValue,
  kLookup,
  kOverflow,
  kZeroDivision,
  kUndefined,
  kSecurity,
  kRuntime,
  kRaised,       // raise_exception
  kLimit,        // of nesting and the like
  kTooLarge,     // of RenderLimits
  kUnsupported,  // valid Jinja that Larder lacks
};

struct Error {
  Fault fault;
  std::string message;
  int line = 0;  // 0: where the interpreter stands
};

[[noreturn]] inline void Fail(Fault fault, std::string message, int line = 0) {
  throw Error{fault, std::move(message), line};
}

/// Counts the steps and the living bytes of one rendering. Outlives all its values.
class Meter {
 public:
  explicit Meter(const RenderLimits& limits) : limits_(limits) {}
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

  void Step(std::uint64_t n = 1) {
    n_steps_ += n;
    if (n_steps_ > limits_.max_steps) FailSteps();
  }
  /// Work on so many bytes of text.
  void StepBytes(std::size_t n_bytes) { Step(1 + n_bytes / 16); }
  /// Called before something of this size is built from less.
  void Reserve(std::size_t n_bytes) {
    if (n_bytes > limits_.max_memory_bytes - live_bytes_) FailMemory();
    StepBytes(n_bytes);
  }
  /// Fails when a text under construction no longer fits.
  void CheckRoom(std::size_t n_bytes) const {
    if (n_bytes > limits_.max_memory_bytes - live_bytes_) FailMemory();
  }
  /// The object that holds bytes releases them in its destructor.
  void Hold(std::size_t n_bytes) {
    if (n_bytes > limits_.max_memory_bytes - live_bytes_) FailMemory();
    live_bytes_ += n_bytes;
  }
  void Release(std::size_t n_bytes) noexcept { live_bytes_ -= n_bytes; }
  void CheckOutput(std::size_t n_bytes) const {
    if (n_bytes > limits_.max_output_bytes) FailOutput();
  }
  std::uint64_t n_steps() const { return n_steps_; }

 private:
  [[noreturn]] void FailSteps() const;
  [[noreturn]] void FailMemory() const;
  [[noreturn]] void FailOutput() const;

  RenderLimits limits_;
  std::uint64_t n_steps_ = 0;
  std::size_t live_bytes_ = 0;
};

}  // namespace jinja
}  // namespace larder
