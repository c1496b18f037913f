// Entering a node follows everything that reads nothing at once, so that a list of cells holds only
// what waits for a byte. No grammar loops without reading: its makers see to that.
#include "sample/grammar_run.h"

#include <algorithm>

#include "sample/json_string.h"

namespace larder {

namespace {

constexpr std::size_t kFirstBuckets = 256;

}  // namespace

GrammarRun::GrammarRun(const Grammar& grammar, std::uint32_t max_depth)
    : grammar_(&grammar), max_depth_(max_depth), cells_(1), buckets_(kFirstBuckets), seen_(1) {
  for (std::size_t phase = 0; phase < kStringPhases; ++phase) {
    for (unsigned byte = 0; byte < 256; ++byte) {
      const auto narrow = static_cast<std::uint8_t>(byte);
      if (kStringTable[phase][byte] != kStringBreaks) string_first_[phase].Add(narrow, narrow);
    }
  }
}

std::size_t GrammarRun::Bucket(CellId parent, NodeId node, std::uint32_t string_state) const {
  std::uint64_t hash = (static_cast<std::uint64_t>(parent) << 32 | node) * 0x9e3779b97f4a7c15ull;
  hash = (hash ^ string_state) * 0xbf58476d1ce4e5b9ull;
  return (hash >> 32) & (buckets_.size() - 1);
}

void GrammarRun::Grow() {
  buckets_.assign(buckets_.size() * 4, 0);
  for (CellId id = 1; id < cells_.size(); ++id) {
    Cell& cell = cells_[id];
    CellId& head = buckets_[Bucket(cell.parent, cell.node, cell.string_state)];
    cell.next = head;
    head = id;
  }
}

CellId GrammarRun::Intern(CellId parent, NodeId node, std::uint32_t string_state) {
  std::size_t bucket = Bucket(parent, node, string_state);
  for (CellId id = buckets_[bucket]; id != 0; id = cells_[id].next) {
    const Cell& cell = cells_[id];
    if (cell.node == node && cell.parent == parent && cell.string_state == string_state) return id;
  }
  if (cells_.size() > buckets_.size()) {
    Grow();
    bucket = Bucket(parent, node, string_state);
  }
  const auto id = static_cast<CellId>(cells_.size());
  cells_.push_back({parent, node, string_state, cells_[parent].depth + 1, buckets_[bucket]});
  buckets_[bucket] = id;
  seen_.push_back(0);
  return id;
}

// The newest cell is always the head of its chain, so going back needs no search.
void GrammarRun::Rewind(std::size_t mark) {
  while (cells_.size() > mark) {
    const Cell& cell = cells_.back();
    buckets_[Bucket(cell.parent, cell.node, cell.string_state)] = cell.next;
    cells_.pop_back();
    seen_.pop_back();
  }
}

void GrammarRun::Compact(Threads* threads) {
  const std::vector<Cell> old = std::move(cells_);
  cells_.assign(1, Cell());
  seen_.assign(1, 0);
  buckets_.assign(kFirstBuckets, 0);
  list_ = 0;
  std::vector<CellId> way;
  for (CellId& id : threads->cells) {
    way.clear();
    for (CellId up = id; up != 0; up = old[up].parent) way.push_back(up);
    CellId parent = 0;
    for (std::size_t i = way.size(); i-- > 0;) {
      parent = Intern(parent, old[way[i]].node, old[way[i]].string_state);
    }
    id = parent;
  }
}

bool GrammarRun::Fits(std::uint32_t depth, NodeId node) {
  const std::uint32_t height = grammar_->nodes[node].height;
  if (height == kUnlimited || depth + height > max_depth_) return false;
  reach_ = std::max(reach_, depth + height);
  return true;
}

void GrammarRun::Add(CellId id, Threads* out) {
  if (seen_[id] == list_) return;
  seen_[id] = list_;
  out->cells.push_back(id);
}

void GrammarRun::Enter(CellId parent, NodeId node, Threads* out) {
  if (out->cells.empty()) ++list_;
  pending_.assign(1, {parent, node});
  while (!pending_.empty()) {
    const auto [below, here] = pending_.back();
    pending_.pop_back();
    const std::uint32_t depth = cells_[below].depth + 1;
    if (!Fits(depth, here)) continue;
    const GrammarNode& at = grammar_->nodes[here];
    if (at.reads_bytes) Add(Intern(below, here, 0), out);
    if (at.accepting) {
      if (below == 0) {
        out->ended = true;
      } else {
        pending_.emplace_back(cells_[below].parent, cells_[below].node);
      }
    }
    for (std::uint32_t i = 0; i < at.n_edges; ++i) {
      const GrammarEdge& edge = grammar_->edges[at.first_edge + i];
      if (edge.kind == GrammarEdge::Kind::kNothing) pending_.emplace_back(below, edge.to);
      if (edge.kind != GrammarEdge::Kind::kRule || !Fits(depth, edge.to)) continue;
      // What ends with the rule it calls leaves no frame behind.
      const bool last = grammar_->nodes[edge.to].plain_end;
      pending_.emplace_back(last ? below : Intern(below, edge.to, 0), edge.rule);
    }
  }
}

void GrammarRun::Leave(CellId cell, Threads* out) {
  const CellId below = cells_[cell].parent;
  if (below == 0) {
    out->ended = true;
    return;
  }
  Enter(cells_[below].parent, cells_[below].node, out);
}

void GrammarRun::StepString(const Cell& cell, std::uint8_t byte, Threads* out) {
  const StringLimits& limits = grammar_->strings[grammar_->nodes[cell.node].string];
  const std::uint32_t phase = cell.string_state % 32;
  std::uint32_t n_chars = cell.string_state / 32;
  const std::uint8_t next = kStringTable[phase][byte];
  if (next == kStringBreaks) return;
  if (next == kStringCloses) {
    if (n_chars >= limits.min_chars) Enter(cell.parent, limits.exit, out);
    return;
  }
  if (phase == kBody && n_chars >= limits.max_chars) return;
  if (next == kBody) {
    ++n_chars;
    // Where no count matters any more, states that differ in it alone become one.
    if (limits.max_chars == kUnlimited) n_chars = std::min(n_chars, limits.min_chars);
  }
  if (out->cells.empty()) ++list_;
  Add(Intern(cell.parent, cell.node, n_chars * 32 + next), out);
}

void GrammarRun::Step(const Threads& in, std::uint8_t byte, Threads* out) {
  out->Clear();
  for (const CellId id : in.cells) {
    const Cell cell = cells_[id];
    const GrammarNode& node = grammar_->nodes[cell.node];
    if (node.string != kUnlimited) {
      StepString(cell, byte, out);
      continue;
    }
    for (std::uint32_t i = 0; i < node.n_edges; ++i) {
      const GrammarEdge& edge = grammar_->edges[node.first_edge + i];
      if (edge.kind == GrammarEdge::Kind::kBytes && edge.low <= byte && byte <= edge.high) {
        Enter(cell.parent, edge.to, out);
      }
    }
  }
}

ByteSet GrammarRun::FirstBytes(const Threads& in) const {
  ByteSet bytes;
  for (const CellId id : in.cells) {
    const Cell& cell = cells_[id];
    const GrammarNode& node = grammar_->nodes[cell.node];
    if (node.string != kUnlimited) {
      bytes.AddAll(string_first_[cell.string_state % 32]);
      continue;
    }
    for (std::uint32_t i = 0; i < node.n_edges; ++i) {
      const GrammarEdge& edge = grammar_->edges[node.first_edge + i];
      if (edge.kind == GrammarEdge::Kind::kBytes) bytes.Add(edge.low, edge.high);
    }
  }
  return bytes;
}

bool GrammarReads(const Grammar& grammar, std::string_view text) {
  GrammarRun run(grammar);
  Threads now;
  Threads after;
  run.Enter(0, grammar.start, &now);
  for (const char c : text) {
    run.Step(now, static_cast<std::uint8_t>(c), &after);
    std::swap(now, after);
  }
  return now.ended;
}

}  // namespace larder
