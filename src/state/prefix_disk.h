// PrefixDisk: kept pages and snapshots in a folder, across restarts. Files of one model and its
// settings lie in a subfolder of their own; the size limit counts all of them, whoever wrote them.
// The least recently used go first, and of one use the deepest: the beginning is of use without the
// end. A thread of its own writes, under a lock that processes share; bytes written are counted per
// day by all of them, and stop at a limit. Other processes may add and delete files at any time.
// Nothing in the folder is believed unchecked, and no failure of it is anybody's failure: the
// prompt is read again. All calls from any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "state/prefix_file.h"

namespace larder {

struct PrefixDiskOptions {
  std::string folder;
  Sha256Digest identity{};
  std::uint64_t limit_bytes = 0;
  std::uint64_t daily_bytes = 0;
};

struct PrefixDiskStats {
  std::uint64_t used_bytes = 0;     // of all models
  std::uint64_t written_bytes = 0;  // by this object
  std::uint64_t read_bytes = 0;
  std::uint64_t n_ignored = 0;  // torn or foreign files met
  std::uint64_t n_refused = 0;  // not written, for the daily limit or because it cannot be counted
};

class PrefixDisk {
 public:
  /// Makes the folder (for its owner alone) and looks what is there. kIoError when it cannot be
  /// used.
  static Result<std::unique_ptr<PrefixDisk>> Open(const PrefixDiskOptions& options);
  /// Stop(0).
  ~PrefixDisk();
  PrefixDisk(const PrefixDisk&) = delete;
  PrefixDisk& operator=(const PrefixDisk&) = delete;

  std::uint64_t limit_bytes() const;

  /// A new moment of use: what is used from now on, together, goes after everything used before.
  void BeginUse();
  /// Whether such a file was there or is about to be.
  bool Has(const PrefixId& id) const;
  /// Fills `out`, used now; false when there is no sound file of that size, which is then
  /// forgotten.
  bool Read(const PrefixId& id, std::span<std::byte> out);
  /// Marks as used now; false when there is no such file and none about to be.
  bool Touch(const PrefixId& id);
  /// Queues a file to be written, used now; what is there or does not fit the limits is passed
  /// over. Room is made only by what goes before it.
  void Write(const PrefixId& id, PrefixBlob blob);

  /// The n_tokens of all snapshots of this identity, each once, descending.
  std::vector<std::int64_t> SnapshotLengths() const;
  /// Never waits for the disk.
  PrefixDiskStats stats() const;
  /// Files still to be written.
  std::size_t n_queued() const;

  /// Waits until the queue is written, for at most `deadline_us`; then what is left is given up.
  void Stop(std::int64_t deadline_us);

 private:
  struct Impl;
  explicit PrefixDisk(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace larder
