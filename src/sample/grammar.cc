// Heights are the least fixed point of "an edge needs what lies behind it": infinite where no way
// leads to the rule's end, and such nodes and edges are left out of the result.
#include "sample/grammar.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/check.h"

namespace larder {

namespace {

constexpr std::uint32_t kEndless = 0xffffffffu;
constexpr std::uint32_t kNoNeed = 0xffffffffu;

struct Utf8Range {
  std::uint32_t low, high;
  std::uint32_t n_bytes;
};

// Surrogates are no characters.
constexpr std::array<Utf8Range, 5> kLengths = {{{0x0, 0x7f, 1},
                                                {0x80, 0x7ff, 2},
                                                {0x800, 0xd7ff, 3},
                                                {0xe000, 0xffff, 3},
                                                {0x10000, 0x10ffff, 4}}};

std::uint8_t ByteOf(std::uint32_t code_point, std::uint32_t n_bytes, std::uint32_t index) {
  constexpr std::array<std::uint32_t, 5> kLead = {0, 0, 0xc0, 0xe0, 0xf0};
  const std::uint32_t bits = code_point >> (6 * (n_bytes - 1 - index));
  if (n_bytes == 1) return static_cast<std::uint8_t>(code_point);
  return static_cast<std::uint8_t>(index == 0 ? kLead[n_bytes] | bits : 0x80 | (bits & 0x3f));
}

}  // namespace

std::size_t Grammar::n_bytes() const {
  return nodes.capacity() * sizeof(GrammarNode) + edges.capacity() * sizeof(GrammarEdge) +
         strings.capacity() * sizeof(StringLimits);
}

NodeId GrammarBuilder::AddNode() {
  if (nodes_.size() >= kMaxGrammarNodes) {
    fits_ = false;
    return 0;
  }
  nodes_.emplace_back();
  return static_cast<NodeId>(nodes_.size() - 1);
}

RuleId GrammarBuilder::AddRule() {
  rule_starts_.push_back(AddNode());
  return static_cast<RuleId>(rule_starts_.size() - 1);
}

void GrammarBuilder::AddEdge(NodeId from, GrammarEdge edge) {
  if (n_edges_ >= kMaxGrammarEdges) fits_ = false;
  if (!fits_) return;
  nodes_[from].edges.push_back(edge);
  ++n_edges_;
}

void GrammarBuilder::AddBytes(NodeId from, std::uint8_t low, std::uint8_t high, NodeId to) {
  AddEdge(from, {GrammarEdge::Kind::kBytes, low, high, to, 0});
}

void GrammarBuilder::AddNothing(NodeId from, NodeId to) {
  AddEdge(from, {GrammarEdge::Kind::kNothing, 0, 0, to, 0});
}

void GrammarBuilder::AddCall(NodeId from, RuleId rule, NodeId to) {
  AddEdge(from, {GrammarEdge::Kind::kRule, 0, 0, to, rule});
}

void GrammarBuilder::AddText(NodeId from, std::string_view text, NodeId to) {
  if (text.empty()) {
    AddNothing(from, to);
    return;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    const NodeId next = i + 1 == text.size() ? to : AddNode();
    const auto byte = static_cast<std::uint8_t>(text[i]);
    AddBytes(from, byte, byte, next);
    from = next;
  }
}

NodeId GrammarBuilder::Then(NodeId from, std::string_view text) {
  const NodeId to = AddNode();
  AddText(from, text, to);
  return to;
}

NodeId GrammarBuilder::ThenRule(NodeId from, RuleId rule) {
  const NodeId to = AddNode();
  AddCall(from, rule, to);
  return to;
}

void GrammarBuilder::AddTexts(NodeId from, const std::vector<std::string>& texts, NodeId to) {
  std::map<std::pair<NodeId, std::uint8_t>, NodeId> children;
  for (const std::string& text : texts) {
    NodeId node = from;
    for (const char c : text) {
      const auto byte = static_cast<std::uint8_t>(c);
      const auto [child, is_new] = children.try_emplace({node, byte}, 0);
      if (is_new) {
        child->second = AddNode();
        AddBytes(node, byte, byte, child->second);
      }
      node = child->second;
    }
    AddNothing(node, to);
  }
}

void GrammarBuilder::AddCodePoints(NodeId from, std::uint32_t low, std::uint32_t high, NodeId to) {
  for (const Utf8Range& range : kLengths) {
    // Cut into pieces whose characters differ in their last k bytes freely: each is one chain.
    std::uint32_t first = std::max(low, range.low);
    const std::uint32_t last = std::min(high, range.high);
    while (first <= last) {
      std::uint32_t n_free = 0;
      std::uint32_t end = first;
      for (std::uint32_t k = 1; k < range.n_bytes; ++k) {
        const std::uint32_t block = 1u << (6 * k);
        if (first % block != 0 || first + block - 1 > last) break;
        n_free = k;
        end = first + block - 1;
      }
      // Neighbouring blocks under the same higher bytes become one range.
      const std::uint32_t block = 1u << (6 * n_free);
      const std::uint32_t parent = n_free + 1 < range.n_bytes ? 6 * (n_free + 1) : 31;
      while (end + block <= last && (end + block) >> parent == first >> parent) end += block;
      NodeId node = from;
      for (std::uint32_t i = 0; i < range.n_bytes; ++i) {
        const NodeId next = i + 1 == range.n_bytes ? to : AddNode();
        AddBytes(node, ByteOf(first, range.n_bytes, i), ByteOf(end, range.n_bytes, i), next);
        node = next;
      }
      first = end + 1;
    }
  }
}

NodeId GrammarBuilder::AddString(std::uint32_t min_chars, std::uint32_t max_chars, NodeId exit) {
  const NodeId node = AddNode();
  if (!fits_) return node;
  nodes_[node].string = static_cast<std::uint32_t>(strings_.size());
  strings_.push_back({min_chars, max_chars, exit});
  return node;
}

std::uint32_t GrammarBuilder::EdgeHeight(const GrammarEdge& edge,
                                         const std::vector<std::uint32_t>& heights) const {
  const std::uint32_t after = heights[edge.to];
  if (edge.kind != GrammarEdge::Kind::kRule || after == kEndless) return after;
  const std::uint32_t inside = heights[rule_starts_[edge.rule]];
  return inside == kEndless ? kEndless : std::max(after, inside + 1);
}

// What each node's height is needed for: the ways of the nodes before it.
GrammarBuilder::Needs GrammarBuilder::FindNeeds() const {
  Needs needs;
  needs.first.assign(nodes_.size(), kNoNeed);
  const auto add = [&](NodeId needed, NodeId from, const GrammarEdge* edge) {
    needs.all.push_back({from, edge, needs.first[needed]});
    needs.first[needed] = static_cast<std::uint32_t>(needs.all.size() - 1);
  };
  for (NodeId from = 0; from < nodes_.size(); ++from) {
    const Node& node = nodes_[from];
    if (node.string != kUnlimited) {
      const StringLimits& string = strings_[node.string];
      if (string.min_chars <= string.max_chars) add(string.exit, from, nullptr);
      continue;
    }
    for (const GrammarEdge& edge : node.edges) {
      add(edge.to, from, &edge);
      if (edge.kind == GrammarEdge::Kind::kRule) add(rule_starts_[edge.rule], from, &edge);
    }
  }
  return needs;
}

// From the lowest upwards, so that a height once taken up is final (as in Dijkstra's algorithm: no
// way is lower than what it needs).
std::vector<std::uint32_t> GrammarBuilder::Heights() const {
  const Needs needs = FindNeeds();
  std::vector<std::uint32_t> heights(nodes_.size(), kEndless);
  std::array<std::vector<NodeId>, kMaxGrammarDepth + 1> found;  // by height
  const auto lower = [&](NodeId node, std::uint32_t height) {
    // Deeper than any text may be is as good as endless.
    if (height >= heights[node] || height > kMaxGrammarDepth) return;
    heights[node] = height;
    found[height].push_back(node);
  };
  for (NodeId node = 0; node < nodes_.size(); ++node) {
    if (nodes_[node].accepting) lower(node, 0);
  }
  for (std::uint32_t height = 0; height <= kMaxGrammarDepth; ++height) {
    while (!found[height].empty()) {
      const NodeId node = found[height].back();
      found[height].pop_back();
      if (heights[node] != height) continue;  // found lower meanwhile
      for (std::uint32_t i = needs.first[node]; i != kNoNeed; i = needs.all[i].next) {
        const Need& need = needs.all[i];
        lower(need.from, need.edge == nullptr ? height : EdgeHeight(*need.edge, heights));
      }
    }
  }
  return heights;
}

std::optional<Grammar> GrammarBuilder::Finish(RuleId root) {
  LARDER_CHECK(fits_);
  const std::vector<std::uint32_t> heights = Heights();
  if (heights[rule_starts_[root]] == kEndless) return std::nullopt;
  Grammar grammar;
  grammar.start = rule_starts_[root];
  grammar.strings = std::move(strings_);
  grammar.nodes.resize(nodes_.size());
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    GrammarNode& node = grammar.nodes[i];
    const Node& built = nodes_[i];
    node.first_edge = static_cast<std::uint32_t>(grammar.edges.size());
    node.height = heights[i];
    node.string = built.string;
    node.accepting = built.accepting;
    node.free_text = built.free_text;
    node.reads_bytes = built.string != kUnlimited;
    for (const GrammarEdge& edge : built.edges) {
      if (EdgeHeight(edge, heights) == kEndless) continue;
      GrammarEdge kept = edge;
      // From here on an edge names the node to enter instead of the rule.
      if (edge.kind == GrammarEdge::Kind::kRule) kept.rule = rule_starts_[edge.rule];
      node.reads_bytes = node.reads_bytes || edge.kind == GrammarEdge::Kind::kBytes;
      grammar.edges.push_back(kept);
    }
    node.n_edges = static_cast<std::uint32_t>(grammar.edges.size()) - node.first_edge;
    node.plain_end = node.accepting && node.n_edges == 0 && node.string == kUnlimited;
  }
  nodes_.clear();
  return grammar;
}

}  // namespace larder
