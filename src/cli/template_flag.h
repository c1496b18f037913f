// --chat-template: which template formats the messages, shared by the commands that talk.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "base/status.h"
#include "text/prompt_writer.h"

namespace larder {

void AddTemplateFlag(CLI::App* app, std::string* name_or_file);

/// One of the model's own templates by name, or else a file with a template's source.
Result<ChatTemplate> ChooseTemplate(const Metadata& metadata, const std::string& name_or_file);

/// With the template that was asked for; empty: the model's own, as its file says.
Result<PromptWriter> MakePromptWriter(const Metadata& metadata, const Tokenizer* tokenizer,
                                      const std::string& name_or_file);

}  // namespace larder
