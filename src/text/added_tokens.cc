// A trie over bytes, entered only where a token can begin.
#include "text/added_tokens.h"

namespace larder {

void AddedTokens::Add(std::string_view text, std::int32_t token) {
  if (text.empty()) return;
  begins_[static_cast<unsigned char>(text[0])] = true;
  std::int32_t node = 0;
  for (const char c : text) {
    const auto [it, added] = children_.emplace(Edge(node, static_cast<unsigned char>(c)), n_nodes_);
    if (added) ++n_nodes_;
    node = it->second;
  }
  token_at_.emplace(node, token);
}

AddedTokenMatch AddedTokens::LongestAt(std::string_view text, std::size_t position) const {
  AddedTokenMatch match;
  std::int32_t node = 0;
  for (std::size_t i = position; i < text.size(); ++i) {
    const auto child = children_.find(Edge(node, static_cast<unsigned char>(text[i])));
    if (child == children_.end()) break;
    node = child->second;
    const auto token = token_at_.find(node);
    if (token != token_at_.end()) match = {position, i + 1 - position, token->second};
  }
  return match;
}

AddedTokenMatch AddedTokens::FindNext(std::string_view text, std::size_t position) const {
  for (; position < text.size(); ++position) {
    if (!begins_[static_cast<unsigned char>(text[position])]) continue;
    const AddedTokenMatch match = LongestAt(text, position);
    if (match.token >= 0) return match;
  }
  return {};
}

}  // namespace larder
