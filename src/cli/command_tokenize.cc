// larder tokenize and detokenize: no engine, only a file's vocabulary.
#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "cli/command.h"
#include "cli/demo_model.h"
#include "cli/output.h"
#include "cli/token_list.h"
#include "format/gguf_reader.h"
#include "text/tokenizer.h"

namespace larder {

namespace {

Result<std::unique_ptr<Tokenizer>> OpenTokenizer(const std::string& given_model) {
  LARDER_ASSIGN_OR_RETURN(const std::string path, ResolveModel(given_model));
  LARDER_ASSIGN_OR_RETURN(const GgufModel file, OpenGguf(path));
  Result<std::unique_ptr<Tokenizer>> tokenizer = Tokenizer::FromMetadata(file.metadata);
  if (!tokenizer.ok()) return tokenizer.status().WithContext(path);
  return tokenizer;
}

Status Tokenize(const std::string& model, const std::string& text_or_dash, EncodeOptions options) {
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer, OpenTokenizer(model));
  std::string text = text_or_dash;
  if (text == "-") {
    LARDER_ASSIGN_OR_RETURN(text, ReadStdin());
  }
  LARDER_ASSIGN_OR_RETURN(const std::vector<std::int32_t> ids, tokenizer->Encode(text, options));
  return WriteStdout(fmt::format("{}\n", fmt::join(ids, " ")));
}

Status Detokenize(const std::string& model, const std::vector<std::string>& words) {
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer, OpenTokenizer(model));
  std::string list = fmt::format("{}", fmt::join(words, " "));
  if (list == "-") {
    LARDER_ASSIGN_OR_RETURN(list, ReadStdin());
  }
  LARDER_ASSIGN_OR_RETURN(const std::vector<std::int32_t> ids, ParseTokenIds(list));
  for (const std::int32_t id : ids) {
    if (id >= 0 && id < tokenizer->n_vocab()) continue;
    return InvalidArgument("token id {} is out of range; the vocabulary has ids 0 to {}", id,
                           tokenizer->n_vocab() - 1);
  }
  const std::string text = tokenizer->Decode(ids, true);
  return WriteStdout(text);
}

}  // namespace

int TokenizeMain(const Arguments& arguments) {
  CommandLine line("tokenize", "Prints the token ids of a text, separated by spaces.",
                   "  larder tokenize -m model.gguf \"Hello world\"\n"
                   "  larder tokenize -m model.gguf --parse-special \"<|im_start|>user\"\n"
                   "  larder tokenize -m vocabulary.gguf - < text.txt\n");
  std::string model;
  std::string text;
  EncodeOptions options;
  line.app()
      .add_option("-m,--model", model, "GGUF file; a vocabulary alone is enough")
      ->type_name("FILE");
  line.app().add_flag("--add-special", options.add_special,
                      "add the begin and end tokens that the model asks for");
  line.app().add_flag("--parse-special", options.parse_special,
                      "read control tokens such as <|im_end|> in the text as those tokens");
  line.app().add_option("text", text, "the text, or - for stdin")->type_name("TEXT");
  if (const auto exit_status = line.Parse(arguments)) return *exit_status;
  if (!line.Given("text")) return Fail(InvalidArgument("tokenize needs a TEXT, or - for stdin"));
  const Status status = Tokenize(model, text, options);
  return status.ok() ? kExitSuccess : Fail(status);
}

int DetokenizeMain(const Arguments& arguments) {
  CommandLine line(
      "detokenize", "Prints the text of token ids, byte for byte.",
      "  larder detokenize -m model.gguf 9707 1879\n"
      "  larder tokenize -m model.gguf - < a.txt | larder detokenize -m model.gguf -\n");
  std::string model;
  std::vector<std::string> words;
  line.app()
      .add_option("-m,--model", model, "GGUF file; a vocabulary alone is enough")
      ->type_name("FILE");
  line.app().add_option("ids", words, "token ids, @FILE, or - for stdin")->type_name("IDS");
  if (const auto exit_status = line.Parse(arguments)) return *exit_status;
  if (words.empty()) return Fail(InvalidArgument("detokenize needs token ids, or - for stdin"));
  const Status status = Detokenize(model, words);
  return status.ok() ? kExitSuccess : Fail(status);
}

}  // namespace larder
