// The options that hold an answer to JSON, shared by the commands that generate.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "base/status.h"
#include "sample/token_constraint.h"

namespace larder {

/// Memory that a constraint may take beside the grammar; goes into the engine's budget.
constexpr std::uint64_t kConstraintBytes = std::uint64_t{24} << 20;

struct ConstraintFlags {
  std::string schema;  // JSON text, or the path of a file that holds it
  bool object = false;

  bool given() const { return object || !schema.empty(); }
};

void AddConstraintFlags(CLI::App* app, ConstraintFlags* flags);

/// The grammar that the flags ask for, or null. Reads the file; failures name it.
Result<std::shared_ptr<const Grammar>> MakeGrammar(const ConstraintFlags& flags);

/// For one stream with that vocabulary; null for a null grammar.
Result<std::unique_ptr<TokenConstraint>> MakeConstraint(std::shared_ptr<const Grammar> grammar,
                                                        const Tokenizer& tokenizer);

}  // namespace larder
