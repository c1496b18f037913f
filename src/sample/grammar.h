// A pushdown automaton over bytes: rules of nodes and edges, where an edge reads one byte of a
// range, reads nothing, or reads a whole rule. GrammarBuilder makes one, Finish cuts away what
// leads nowhere, and the result is immutable: any number of threads may read it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"

namespace larder {

using NodeId = std::uint32_t;
using RuleId = std::uint32_t;

/// Frames a text may need at once: about one per object or array it is inside of.
constexpr std::uint32_t kMaxGrammarDepth = 64;
/// Together about 100 MB while building, which no schema that people write comes near.
constexpr std::size_t kMaxGrammarNodes = 400000;
constexpr std::size_t kMaxGrammarEdges = 1000000;
constexpr std::uint32_t kUnlimited = 0xffffffffu;

struct GrammarEdge {
  enum class Kind : std::uint8_t { kBytes, kNothing, kRule };
  Kind kind = Kind::kNothing;
  std::uint8_t low = 0;  // kBytes: low to high, both included
  std::uint8_t high = 0;
  NodeId to = 0;    // where it goes on; kRule: after the rule
  RuleId rule = 0;  // kRule
};

/// The inside of a JSON string, up to and including the closing quotation mark: its own kind of
/// node, because it has a counter and because nearly every token may follow.
struct StringLimits {
  std::uint32_t min_chars = 0;
  std::uint32_t max_chars = kUnlimited;
  NodeId exit = 0;  // after the quotation mark
};

struct GrammarNode {
  std::uint32_t first_edge = 0;
  std::uint32_t n_edges = 0;
  std::uint32_t height = 0;           // frames that the shortest way to the rule's end needs on top
  std::uint32_t string = kUnlimited;  // index into strings, or kUnlimited for an ordinary node
  bool accepting = false;             // the rule may end here
  bool reads_bytes = false;           // has a kBytes edge or is a string
  bool plain_end = false;             // accepting and without any edge
  bool free_text = false;             // special tokens count as their text here
};

struct Grammar {
  std::vector<GrammarNode> nodes;
  std::vector<GrammarEdge> edges;
  std::vector<StringLimits> strings;
  NodeId start = 0;

  std::size_t n_bytes() const;
};

class GrammarBuilder {
 public:
  NodeId AddNode();
  /// A rule with a fresh start node; edges that name it may come before its own.
  RuleId AddRule();
  NodeId RuleStart(RuleId rule) const { return rule_starts_[rule]; }

  void Accept(NodeId node) { nodes_[node].accepting = true; }
  void MarkFreeText(NodeId node) { nodes_[node].free_text = true; }
  void AddBytes(NodeId from, std::uint8_t low, std::uint8_t high, NodeId to);
  void AddNothing(NodeId from, NodeId to);
  void AddCall(NodeId from, RuleId rule, NodeId to);

  /// The bytes of `text`, one after the other, through new nodes.
  void AddText(NodeId from, std::string_view text, NodeId to);
  /// The same, giving the node behind it.
  NodeId Then(NodeId from, std::string_view text);
  NodeId ThenRule(NodeId from, RuleId rule);

  /// Any of `texts`, sharing their beginnings.
  void AddTexts(NodeId from, const std::vector<std::string>& texts, NodeId to);

  /// One character low to high (code points, both included, surrogates left out) as UTF-8.
  void AddCodePoints(NodeId from, std::uint32_t low, std::uint32_t high, NodeId to);

  /// The inside of a JSON string and its closing quotation mark: a node to enter.
  NodeId AddString(std::uint32_t min_chars, std::uint32_t max_chars, NodeId exit);

  /// False once the limits on size are passed; nothing is added from then on.
  bool fits() const { return fits_; }
  std::size_t n_nodes() const { return nodes_.size(); }

  /// The automaton of `root`, without the ways that never end. nullopt: no text at all satisfies
  /// it within kMaxGrammarDepth. The builder is spent afterwards.
  std::optional<Grammar> Finish(RuleId root);

 private:
  struct Node {
    std::vector<GrammarEdge> edges;
    std::uint32_t string = kUnlimited;
    bool accepting = false;
    bool free_text = false;
  };

  // The height of `from` depends on another node's, by this edge or, without one, as a string.
  struct Need {
    NodeId from;
    const GrammarEdge* edge;
    std::uint32_t next;  // of the same node
  };
  struct Needs {
    std::vector<std::uint32_t> first;  // by node
    std::vector<Need> all;
  };

  void AddEdge(NodeId from, GrammarEdge edge);
  Needs FindNeeds() const;
  std::vector<std::uint32_t> Heights() const;
  std::uint32_t EdgeHeight(const GrammarEdge& edge,
                           const std::vector<std::uint32_t>& heights) const;

  std::vector<Node> nodes_;
  std::vector<NodeId> rule_starts_;
  std::vector<StringLimits> strings_;
  std::size_t n_edges_ = 0;
  bool fits_ = true;
};

}  // namespace larder
