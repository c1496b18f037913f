// A hostile schema: it is refused in one sentence, or every walk through its masks ends in a text
// that parses and matches it. The first byte chooses the walk.
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "sample/constraint_testing.h"
#include "sample/json_match.h"
#include "sample/json_schema.h"
#include "text/vocabulary_testing.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace larder;
  static const std::unique_ptr<Tokenizer> tokenizer = [] {
    auto made = Tokenizer::FromMetadata(SmallVocabulary(
        "gpt-2", {"\" ,", "\" :", "Ġ \"", "} }", "[ [", "a b", "1 2", "Ã ©"}, {}, {"<|im_end|>"}));
    if (!made.ok()) std::abort();
    return std::move(*made);
  }();
  static const std::shared_ptr<const TokenTrie> trie = [] {
    auto made = TokenTrie::Make(*tokenizer);
    if (!made.ok()) std::abort();
    return *made;
  }();
  if (size == 0) return 0;
  const std::string_view schema(reinterpret_cast<const char*>(data) + 1, size - 1);
  Result<Grammar> grammar = CompileJsonSchema(schema);
  if (!grammar.ok()) {
    if (grammar.status().message().empty()) std::abort();
    return 0;
  }
  const Result<JsonValue> root = ParseJsonValue(schema, "the schema");
  if (!root.ok()) std::abort();
  TokenConstraint constraint(std::make_shared<Grammar>(*std::move(grammar)), trie);
  RandomWalk walk(*tokenizer, data[0]);
  walk.hurry_after = 20;
  walk.give_up_after = 3000;  // a schema may demand a very long text
  const std::string text = walk.Text(constraint);
  if (walk.gave_up) return 0;
  JsonLimits limits;
  limits.max_depth = 1000;
  const Result<JsonValue> value = ParseJsonValue(text, "the text", limits);
  // Free names may repeat.
  const bool twice = !value.ok() && value.status().message().find("twice") != std::string::npos;
  if (!twice && (!value.ok() || !JsonMatches(*value, *root, *root))) std::abort();
  return 0;
}
