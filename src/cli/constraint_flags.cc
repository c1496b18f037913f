// A schema given as text begins with a brace, or is `true` or `false`; everything else is a path.
#include "cli/constraint_flags.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "sample/json_schema.h"

namespace larder {

namespace {

constexpr const char* kBlanks = " \t\r\n";

bool IsSchemaText(const std::string& text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string::npos) return false;
  const std::string inner = text.substr(first, text.find_last_not_of(kBlanks) + 1 - first);
  return inner[0] == '{' || inner == "true" || inner == "false";
}

Result<std::string> ReadSchema(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return InvalidArgument("the schema {} is a folder; give a file or the JSON text itself", path);
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return NotFound("cannot open the schema {}: {}; give a file or the JSON text itself", path,
                    std::strerror(errno));
  }
  std::string text(kMaxSchemaBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(file.gcount()));
  if (file.bad()) return IoError("cannot read the schema {}", path);
  return text;
}

}  // namespace

void AddConstraintFlags(CLI::App* app, ConstraintFlags* flags) {
  app->add_option("--json-schema", flags->schema,
                  "hold the answer to a JSON schema, a file or the text itself")
      ->type_name("FILE|TEXT")
      ->check(CLI::Validator(
          [](std::string& text) -> std::string {
            return text.empty() ? "must be a file or the JSON text itself, not empty" : "";
          },
          ""));
  app->add_flag("--json-object", flags->object, "hold the answer to one JSON object");
}

Result<std::shared_ptr<const Grammar>> MakeGrammar(const ConstraintFlags& flags) {
  if (!flags.given()) return std::shared_ptr<const Grammar>();
  if (flags.object && !flags.schema.empty()) {
    return InvalidArgument("--json-object and --json-schema exclude each other");
  }
  if (flags.object) return std::make_shared<const Grammar>(AnyObjectGrammar());
  std::string schema = flags.schema;
  if (!IsSchemaText(schema)) {
    LARDER_ASSIGN_OR_RETURN(schema, ReadSchema(flags.schema));
  }
  LARDER_ASSIGN_OR_RETURN(Grammar grammar, CompileJsonSchema(schema));
  return std::make_shared<const Grammar>(std::move(grammar));
}

Result<std::unique_ptr<TokenConstraint>> MakeConstraint(std::shared_ptr<const Grammar> grammar,
                                                        const Tokenizer& tokenizer) {
  if (grammar == nullptr) return std::unique_ptr<TokenConstraint>();
  LARDER_ASSIGN_OR_RETURN(std::shared_ptr<const TokenTrie> trie, TokenTrie::Make(tokenizer));
  return std::make_unique<TokenConstraint>(std::move(grammar), std::move(trie));
}

}  // namespace larder
