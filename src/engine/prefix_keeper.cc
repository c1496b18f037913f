// Finding, restoring and keeping beginnings.
#include "engine/prefix_keeper.h"

#include <algorithm>
#include <cstring>

namespace larder {

namespace {

constexpr std::int64_t kMostMarks = 12;           // of one prompt
constexpr std::int64_t kNearTokens = 32;          // marks closer than this are one
constexpr std::int64_t kSpareEveryTokens = 1024;  // regular marks are at least so far apart
constexpr std::int64_t kMostSpare = 4;

}  // namespace

std::int64_t CommonTokens(std::span<const std::int32_t> a, std::span<const std::int32_t> b) {
  const std::size_t shorter = std::min(a.size(), b.size());
  const auto differ =
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(shorter), b.begin());
  return differ.first - a.begin();
}

PrefixKeeper::PrefixKeeper(const StateShape& shape, std::int64_t page_tokens,
                           std::uint64_t memory_limit_bytes, std::unique_ptr<PrefixDisk> disk)
    : shape_(shape),
      page_tokens_(page_tokens),
      kv_bytes_per_token_(shape.KvBytesPerToken()),
      recurrent_bytes_(shape.RecurrentBytes()),
      memory_(memory_limit_bytes),
      disk_(std::move(disk)) {}

std::uint64_t PrefixKeeper::SnapshotBytes(std::int64_t n_tokens) const {
  return recurrent_bytes_ +
         static_cast<std::uint64_t>(n_tokens % page_tokens_) * kv_bytes_per_token_;
}

// ---- Finding ------------------------------------------------------------------------------------

bool PrefixKeeper::Has(const PrefixId& id) const {
  return memory_.Has(id) || (disk_ != nullptr && disk_->Has(id));
}

PrefixBlob PrefixKeeper::Get(const PrefixId& id, std::uint64_t size_bytes, bool is_side) {
  PrefixBlob kept = memory_.Find(id, is_side);
  if (kept != nullptr || disk_ == nullptr) return kept;
  const std::shared_ptr<PageBuffer> blob = memory_.Allocate(size_bytes, is_side);
  if (blob == nullptr || !disk_->Read(id, {blob->data(), blob->size_bytes()})) return nullptr;
  used_disk_ = true;
  memory_.Insert(id, blob, false, is_side);
  return blob;
}

// Lengths at which the prompt may start, longest first; not all of them turn out to be there.
std::vector<std::int64_t> PrefixKeeper::Candidates(const PrefixChain& chain, std::int64_t n_own,
                                                   const Timeline& target) const {
  std::vector<std::int64_t> lengths = memory_.SnapshotLengths();
  if (disk_ != nullptr) {
    const std::vector<std::int64_t> more = disk_->SnapshotLengths();
    lengths.insert(lengths.end(), more.begin(), more.end());
  }
  const auto n_held = static_cast<std::int64_t>(target.tokens.size());
  if (target.is_live && n_own == n_held) lengths.push_back(n_held);
  if (recurrent_bytes_ == 0) lengths.push_back(n_own);
  const std::int64_t most = static_cast<std::int64_t>(chain.tokens().size()) - 1;
  std::erase_if(lengths, [most](std::int64_t n) { return n < 1 || n > most; });
  if (recurrent_bytes_ == 0 && n_own > most && most > 0) lengths.push_back(most);
  std::sort(lengths.rbegin(), lengths.rend());
  lengths.erase(std::unique(lengths.begin(), lengths.end()), lengths.end());
  return lengths;
}

std::int64_t PrefixKeeper::Restore(const PrefixChain& chain, std::span<const Timeline* const> all,
                                   Timeline* target) {
  ++stats_.n_lookups;
  memory_.BeginUse();
  if (disk_ != nullptr) disk_->BeginUse();
  used_disk_ = false;
  const std::int64_t n_own = CommonTokens(target->tokens, chain.tokens());
  std::pair<const Timeline*, std::int64_t> other = {nullptr, 0};
  for (const Timeline* one : all) {
    const std::int64_t n = one == target ? 0 : CommonTokens(one->tokens, chain.tokens());
    if (n > other.second) other = {one, n};
  }
  const auto finish = [&](std::int64_t n_tokens) {
    const auto prompt = chain.tokens().first(static_cast<std::size_t>(n_tokens));
    target->tokens.assign(prompt.begin(), prompt.end());
    target->is_live = true;
    target->session->Resume(n_tokens);
    if (!target->is_side) TouchDisk(chain, n_tokens);
    ++stats_.n_hits;
    if (used_disk_) ++stats_.n_disk_hits;
    return n_tokens;
  };
  for (const std::int64_t n : Candidates(chain, n_own, *target)) {
    const bool stands_there =
        target->is_live && n == static_cast<std::int64_t>(target->tokens.size());
    if (n <= n_own && (stands_there || recurrent_bytes_ == 0)) return finish(n);
    if (Load(chain, n, n_own, other, target)) return finish(n);
  }
  target->session->Clear();
  target->tokens.clear();
  target->is_live = true;
  return 0;
}

// ---- Restoring ----------------------------------------------------------------------------------

// Fills target's session for the first `n_tokens`: it holds n_own of them, another timeline some,
// pages and the snapshot the rest. False, with only n_own left in target, when something is
// missing.
bool PrefixKeeper::Load(const PrefixChain& chain, std::int64_t n_tokens, std::int64_t n_own,
                        std::pair<const Timeline*, std::int64_t> other, Timeline* target) {
  const PrefixId id = chain.At(PrefixKind::kSnapshot, n_tokens);
  if (!Has(id)) return false;
  const std::int64_t whole = WholePages(n_tokens);
  const std::int64_t n_held = std::max(n_own, other.second);
  for (std::int64_t end = WholePages(n_held) + page_tokens_; end <= whole; end += page_tokens_) {
    if (!Has(chain.At(PrefixKind::kPage, end))) return false;
  }
  const PrefixBlob snapshot = Get(id, SnapshotBytes(n_tokens), target->is_side);
  if (snapshot == nullptr) return false;
  SessionState& state = target->session->state();
  target->tokens.resize(static_cast<std::size_t>(std::min(n_own, n_tokens)));
  target->is_live = false;
  std::int64_t at = std::min(n_own, whole);
  if (std::min(other.second, whole) > at) {
    const std::int64_t count = std::min(other.second, whole) - at;
    state.CopyKv(other.first->session->state(), at, count);
    at += count;
  }
  // What is not a whole page yet is in the page that it begins.
  for (std::int64_t begin = WholePages(at); begin < whole; begin += page_tokens_) {
    const PrefixId page = chain.At(PrefixKind::kPage, begin + page_tokens_);
    const PrefixBlob blob = Get(page, PageBytes(), target->is_side);
    if (blob == nullptr) return false;
    state.LoadKv(begin, page_tokens_, blob->data());
  }
  const std::span<std::byte> recurrent = state.recurrent_part();
  std::memcpy(recurrent.data(), snapshot->data(), recurrent.size());
  state.LoadKv(whole, n_tokens - whole, snapshot->data() + recurrent.size());
  return true;
}

// What is served from a session or from memory is used on disk too.
void PrefixKeeper::TouchDisk(const PrefixChain& chain, std::int64_t n_tokens) {
  if (disk_ == nullptr) return;
  for (std::int64_t end = page_tokens_; end <= n_tokens; end += page_tokens_) {
    (void)disk_->Touch(chain.At(PrefixKind::kPage, end));
  }
  (void)disk_->Touch(chain.At(PrefixKind::kSnapshot, n_tokens));
}

// ---- Keeping ------------------------------------------------------------------------------------

std::vector<PlannedMark> PrefixKeeper::PlanMarks(std::span<const std::int64_t> boundaries,
                                                 std::int64_t n_reused,
                                                 std::int64_t n_prompt) const {
  std::vector<PlannedMark> marks;
  const std::uint64_t bytes = recurrent_bytes_ + kv_bytes_per_token_;
  // One prompt's snapshots leave half of the memory to others.
  const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(
      kMostMarks, memory_.limit_bytes() == 0 ? 0 : 1 + memory_.limit_bytes() / (2 * bytes)));
  const std::int64_t last = n_prompt - 1;
  const auto add = [&](std::int64_t n, bool is_spare, bool for_disk) {
    if (n <= n_reused || n > last || marks.size() >= most) return;
    const auto is_near = [n](const PlannedMark& mark) {
      return std::abs(mark.n_tokens - n) < kNearTokens;
    };
    if (std::any_of(marks.begin(), marks.end(), is_near)) return;
    marks.push_back({n, is_spare, for_disk});
  };
  std::vector<std::int64_t> ends;
  for (const std::int64_t n : boundaries) {
    if (0 < n && n <= last) ends.push_back(n);
  }
  const std::size_t n_ends = ends.size();
  if (n_ends > 0) add(ends[n_ends - 1], false, true);
  add(last, false, true);
  if (n_ends > 0) add(ends[0], false, true);
  for (std::size_t i = 2; i <= 4 && i <= n_ends; ++i) add(ends[n_ends - i], false, false);
  if (n_ends > 1) add(ends[1], false, true);
  const std::int64_t n_spare = std::min(kMostSpare, (last - n_reused) / kSpareEveryTokens);
  for (std::int64_t i = 1; i <= n_spare; ++i) {
    add(WholePages(n_reused + (last - n_reused) * i / (n_spare + 1)), true, false);
  }
  std::sort(marks.begin(), marks.end(),
            [](const PlannedMark& a, const PlannedMark& b) { return a.n_tokens < b.n_tokens; });
  return marks;
}

std::vector<PrefixId> PrefixKeeper::WantedOnDisk(const PrefixChain& chain,
                                                 std::span<const std::int64_t> boundaries) const {
  std::vector<PrefixId> wanted;
  if (disk_ == nullptr) return wanted;
  const auto n_prompt = static_cast<std::int64_t>(chain.tokens().size());
  for (const PlannedMark& mark : PlanMarks(boundaries, 0, n_prompt)) {
    if (mark.for_disk) wanted.push_back(chain.At(PrefixKind::kSnapshot, mark.n_tokens));
  }
  return wanted;
}

std::shared_ptr<PageBuffer> PrefixKeeper::BeginSnapshot(std::int64_t n_tokens, bool is_side) {
  return memory_.Allocate(SnapshotBytes(n_tokens), is_side);
}

void PrefixKeeper::KeepSnapshot(const PrefixChain& chain, const PlannedMark& mark,
                                std::shared_ptr<PageBuffer> blob, const Timeline& timeline) {
  const std::int64_t whole = WholePages(mark.n_tokens);
  timeline.session->state().SaveKv(whole, mark.n_tokens - whole, blob->data() + recurrent_bytes_);
  const PrefixId id = chain.At(PrefixKind::kSnapshot, mark.n_tokens);
  memory_.Insert(id, std::move(blob), mark.is_spare, timeline.is_side);
}

void PrefixKeeper::KeepPages(const PrefixChain& chain, const Timeline& timeline) {
  const bool is_side = timeline.is_side;
  const auto n_tokens = static_cast<std::int64_t>(chain.tokens().size());
  for (std::int64_t end = page_tokens_; end <= n_tokens; end += page_tokens_) {
    const PrefixId id = chain.At(PrefixKind::kPage, end);
    if (memory_.Find(id, is_side) != nullptr) continue;
    const std::shared_ptr<PageBuffer> blob = memory_.Allocate(PageBytes(), is_side);
    if (blob == nullptr) return;
    timeline.session->state().SaveKv(end - page_tokens_, page_tokens_, blob->data());
    memory_.Insert(id, blob, false, is_side);
  }
}

// Of the snapshots those that a restart could start from, ascending: they and all pages before them
// are there, in memory or on disk, and together they fit on the disk.
std::vector<PrefixId> PrefixKeeper::UsableOnDisk(const PrefixChain& chain,
                                                 std::span<const PrefixId> for_disk) const {
  const auto n_tokens = static_cast<std::int64_t>(chain.tokens().size());
  std::int64_t whole = 0;
  while (whole + page_tokens_ <= n_tokens &&
         Has(chain.At(PrefixKind::kPage, whole + page_tokens_))) {
    whole += page_tokens_;
  }
  std::vector<PrefixId> usable;
  std::uint64_t snapshot_bytes = 0;
  for (const PrefixId& id : for_disk) {
    const std::int64_t before = WholePages(id.n_tokens);
    if (before > whole || !Has(id)) continue;
    snapshot_bytes += kPrefixHeaderBytes + SnapshotBytes(id.n_tokens);
    const std::uint64_t bytes = snapshot_bytes + static_cast<std::uint64_t>(before / page_tokens_) *
                                                     (kPrefixHeaderBytes + PageBytes());
    if (bytes > disk_->limit_bytes()) break;
    usable.push_back(id);
  }
  return usable;
}

void PrefixKeeper::KeepFile(const PrefixId& id) {
  if (disk_->Touch(id)) return;
  const PrefixBlob kept = memory_.Find(id, false);
  if (kept != nullptr) disk_->Write(id, kept);
}

void PrefixKeeper::KeepOnDisk(const PrefixChain& chain, std::span<const PrefixId> for_disk) {
  const std::vector<PrefixId> snapshots = UsableOnDisk(chain, for_disk);
  if (snapshots.empty()) return;
  disk_->BeginUse();
  const std::int64_t whole = WholePages(snapshots.back().n_tokens);
  for (std::int64_t end = page_tokens_; end <= whole; end += page_tokens_) {
    KeepFile(chain.At(PrefixKind::kPage, end));
  }
  for (const PrefixId& id : snapshots) KeepFile(id);
}

void PrefixKeeper::Keep(const Timeline& timeline, std::span<const PrefixId> for_disk) {
  if (timeline.tokens.empty() || memory_.limit_bytes() == 0) return;
  const bool is_side = timeline.is_side;
  const PrefixChain chain(timeline.tokens, page_tokens_);
  const auto n_tokens = static_cast<std::int64_t>(timeline.tokens.size());
  const SessionState& state = timeline.session->state();
  KeepPages(chain, timeline);
  if (disk_ != nullptr && !is_side) KeepOnDisk(chain, for_disk);
  const PrefixId end = chain.At(PrefixKind::kSnapshot, n_tokens);
  if (!timeline.is_live || memory_.Has(end)) return;
  std::shared_ptr<PageBuffer> blob = BeginSnapshot(n_tokens, is_side);
  if (blob == nullptr) return;
  const std::span<const std::byte> recurrent = state.recurrent_part();
  std::memcpy(blob->data(), recurrent.data(), recurrent.size());
  KeepSnapshot(chain, {n_tokens, false, false}, std::move(blob), timeline);
}

void PrefixKeeper::StopDisk(std::int64_t deadline_us) {
  if (disk_ != nullptr) disk_->Stop(deadline_us);
}

}  // namespace larder
