// larder perplexity: what a text costs the model, and how far its predictions are from saved ones.
#include <fmt/format.h>

#include <malloc.h>

#include <algorithm>
#include <memory>

#include "cli/command.h"
#include "cli/divergence.h"
#include "cli/engine_flags.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/output_file.h"
#include "cli/progress.h"
#include "cli/saved_logits.h"
#include "cli/token_list.h"
#include "engine/session.h"
#include "models/model.h"

namespace larder {

namespace {

constexpr std::int64_t kDefaultWindow = 512;

struct PerplexityFlags {
  EngineFlags engine;
  std::string text_path;
  std::string tokens;
  std::int64_t stride = 0;
  std::string save_path;
  std::string base_path;
  bool parse_special = false;
  bool step = false;
  bool json = false;
};

/// Windows of `window` tokens begin every `stride`; each scores the tokens that none before it did.
class Scorer {
 public:
  Scorer(const PerplexityFlags& flags, Session* session, std::vector<std::int32_t> tokens,
         const ScoredText& text)
      : flags_(flags), session_(*session), tokens_(std::move(tokens)), text_(text) {}

  Status Run(LogitsWriter* writer, LogitsReader* base, const InterruptScope& interrupt) {
    writer_ = writer;
    base_ = base;
    ProgressLine progress("perplexity", ProgressLine::Unit::kTokens);
    const auto n_tokens = static_cast<std::int64_t>(tokens_.size());
    // The last token is never fed: nothing follows it.
    std::int64_t next_scored = 0;
    for (std::int64_t begin = 0; next_scored < n_tokens - 1; begin += text_.stride) {
      const std::int64_t end = std::min<std::int64_t>(begin + text_.window, n_tokens - 1);
      const auto on_row = [&](std::int64_t position, std::span<const float> logits) {
        const std::int64_t at = begin + position;
        if (at < next_scored || !status_.ok()) return;
        status_ = Score(logits, tokens_[static_cast<std::size_t>(at) + 1]);
      };
      session_.Clear();
      // Clear forgets a cancellation that came between two windows.
      if (interrupt.requested()) return Cancelled("interrupted");
      LARDER_RETURN_IF_ERROR(Feed(begin, end, on_row));
      LARDER_RETURN_IF_ERROR(status_);
      next_scored = end;
      progress.Update(static_cast<std::uint64_t>(end), static_cast<std::uint64_t>(n_tokens - 1));
    }
    return Status::Ok();
  }

  const Divergence& divergence() const { return divergence_; }

 private:
  Status Feed(std::int64_t begin, std::int64_t end, const Session::LogitsSink& on_row) {
    const std::span<const std::int32_t> window(tokens_.data() + begin,
                                               static_cast<std::size_t>(end - begin));
    if (!flags_.step) return session_.Append(window, LogitsFor::kAllTokens, on_row);
    for (const std::int32_t& token : window) {
      LARDER_RETURN_IF_ERROR(session_.Append({&token, 1}, LogitsFor::kLastToken, on_row));
    }
    return Status::Ok();
  }

  Status Score(std::span<const float> logits, std::int32_t token) {
    if (writer_ != nullptr) LARDER_RETURN_IF_ERROR(writer_->Write(logits));
    if (base_ == nullptr) {
      divergence_.Add(logits, token);
      return Status::Ok();
    }
    LARDER_RETURN_IF_ERROR(base_->Read(&base_row_));
    divergence_.Add(logits, base_row_, token);
    return Status::Ok();
  }

  const PerplexityFlags& flags_;
  Session& session_;
  std::vector<std::int32_t> tokens_;
  ScoredText text_;
  LogitsWriter* writer_ = nullptr;
  LogitsReader* base_ = nullptr;
  std::vector<float> base_row_;
  Divergence divergence_;
  Status status_;
};

Result<std::vector<std::int32_t>> TextTokens(const PerplexityFlags& flags, const Metadata& metadata,
                                             std::int64_t n_vocab) {
  std::vector<std::int32_t> tokens;
  if (!flags.tokens.empty()) {
    LARDER_ASSIGN_OR_RETURN(tokens, ParseTokenIds(flags.tokens));
  } else {
    LARDER_ASSIGN_OR_RETURN(const std::string text, ReadTextFile(flags.text_path));
    LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Tokenizer> tokenizer,
                            Tokenizer::FromMetadata(metadata));
    const EncodeOptions options = {.add_special = true, .parse_special = flags.parse_special};
    LARDER_ASSIGN_OR_RETURN(tokens, tokenizer->Encode(text, options));
  }
  if (tokens.size() < 2) {
    return InvalidArgument("the text has {} tokens; perplexity needs at least 2", tokens.size());
  }
  for (const std::int32_t token : tokens) {
    if (token >= 0 && token < n_vocab) continue;
    return InvalidArgument("token id {} is out of range; this model has ids 0 to {}", token,
                           n_vocab - 1);
  }
  return tokens;
}

Status CheckBase(const LogitsReader& base, const ScoredText& text, const std::string& path) {
  const ScoredText& saved = base.text();
  if (saved.n_vocab != text.n_vocab || saved.n_tokens != text.n_tokens ||
      saved.tokens_hash != text.tokens_hash) {
    return InvalidArgument("{} was saved for another text or vocabulary", path);
  }
  if (saved.window != text.window || saved.stride != text.stride || saved.n_rows != text.n_rows) {
    return InvalidArgument("{} was saved with --ctx {} --stride {}; give the same", path,
                           saved.window, saved.stride);
  }
  return Status::Ok();
}

Status Print(const PerplexityFlags& flags, const Divergence& divergence, const ScoredText& text,
             const std::string& lossy) {
  if (flags.json) {
    nlohmann::json json = divergence.ToJson();
    json["n_tokens"] = text.n_tokens;
    json["ctx"] = text.window;
    json["stride"] = text.stride;
    json["step"] = flags.step;
    if (!lossy.empty()) json["lossy"] = lossy;
    return WriteStdout(json.dump(2) + "\n");
  }
  return WriteStdout(fmt::format("{}\n{} of {} tokens scored, windows of {}, stride {}{}\n",
                                 divergence.Table(), divergence.n_scored(), text.n_tokens,
                                 text.window, text.stride, flags.step ? ", token by token" : ""));
}

// What is scored: `text` and its tokens. Reads only the model's headers, and gives their memory
// back before the engine takes its budget.
Result<std::vector<std::int32_t>> ReadText(const PerplexityFlags& flags, const std::string& model,
                                           ScoredText* text) {
  std::vector<std::int32_t> tokens;
  {
    LARDER_ASSIGN_OR_RETURN(const GgufModel file, OpenGguf(model));
    LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Model> headers,
                            MakeModel(file, ModelOverrides{}));
    text->n_vocab = static_cast<std::uint32_t>(headers->shape().n_vocab);
    LARDER_ASSIGN_OR_RETURN(tokens, TextTokens(flags, file.metadata, headers->shape().n_vocab));
  }
  malloc_trim(0);
  text->n_tokens = static_cast<std::uint32_t>(tokens.size());
  text->n_rows = tokens.size() - 1;
  text->tokens_hash = HashTokens(tokens);
  return tokens;
}

Status MeasureText(const PerplexityFlags& flags) {
  // Known before a model is loaded and a text is read for hours.
  LARDER_RETURN_IF_ERROR(
      CheckReplacedFile(flags.save_path, {flags.text_path, TokensFile(flags.tokens)}));
  LARDER_ASSIGN_OR_RETURN(EngineOptions options, MakeEngineOptions(flags.engine));
  if (options.context_tokens == 0) options.context_tokens = kDefaultWindow;
  const std::int64_t window = options.context_tokens;
  const std::int64_t stride =
      flags.stride > 0 ? flags.stride : std::max<std::int64_t>(window / 2, 1);
  if (stride > window) {
    return InvalidArgument("--stride {} is more than --ctx {}: tokens between would be left out",
                           stride, window);
  }
  ScoredText text;
  text.window = static_cast<std::uint32_t>(window);
  text.stride = static_cast<std::uint32_t>(stride);
  LARDER_ASSIGN_OR_RETURN(std::vector<std::int32_t> tokens,
                          ReadText(flags, options.model_path, &text));
  std::unique_ptr<LogitsReader> base;
  if (!flags.base_path.empty()) {
    LARDER_ASSIGN_OR_RETURN(base, LogitsReader::Open(flags.base_path));
    LARDER_RETURN_IF_ERROR(CheckBase(*base, text, flags.base_path));
  }
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, LoadEngine(std::move(options)));
  std::unique_ptr<LogitsWriter> writer;
  if (!flags.save_path.empty()) {
    LARDER_ASSIGN_OR_RETURN(writer, LogitsWriter::Create(flags.save_path, text));
  }
  InterruptScope interrupt;
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Session> session, engine->NewSession());
  interrupt.Watch(session.get());
  Scorer scorer(flags, session.get(), std::move(tokens), text);
  const Status scored = scorer.Run(writer.get(), base.get(), interrupt);
  interrupt.Watch(nullptr);
  LARDER_RETURN_IF_ERROR(scored);
  // Whichever of the two cannot be written, the other is.
  const Status printed = Print(flags, scorer.divergence(), text, engine->plan().lossy);
  if (writer != nullptr) {
    const Status saved = writer->Finish();
    if (printed.ok()) return saved;
  }
  return printed;
}

}  // namespace

int PerplexityMain(const Arguments& arguments) {
  CommandLine line("perplexity",
                   "What a text costs the model, and how far its predictions are from saved ones.",
                   "  larder perplexity -m model.gguf -f text.txt\n"
                   "  larder perplexity -m f32.gguf -f text.txt --save-logits base.logits\n"
                   "  larder perplexity -m q2.gguf -f text.txt --kl-from base.logits\n");
  PerplexityFlags flags;
  AddEngineFlags(&line.app(), &flags.engine);
  line.app().get_option("--ctx")->description("tokens of a window; default: 512");
  line.app().add_option("-f,--file", flags.text_path, "the text")->type_name("TEXT");
  line.app()
      .add_option("--tokens", flags.tokens, "instead of a text: 1,2,3 or @FILE")
      ->type_name("IDS");
  line.app()
      .add_option("--stride", flags.stride, "tokens between windows; half of --ctx by default")
      ->type_name("N");
  line.app()
      .add_option("--save-logits", flags.save_path, "write the logits of all scored positions")
      ->type_name("FILE");
  line.app()
      .add_option("--kl-from", flags.base_path, "compare with logits saved before")
      ->type_name("FILE");
  line.app().add_flag("--parse-special", flags.parse_special,
                      "read control tokens such as <|im_end|> in the text as those tokens");
  line.app().add_flag("--step", flags.step, "token by token, as answers are made");
  line.app().add_flag("--json", flags.json, "print one JSON object");
  if (const auto exit_status = line.Parse(arguments)) return *exit_status;
  if (flags.text_path.empty() == flags.tokens.empty()) {
    return Fail(InvalidArgument("perplexity needs a text: one of -f TEXT and --tokens IDS"));
  }
  if (flags.parse_special && flags.text_path.empty()) {
    return Fail(InvalidArgument("--parse-special reads a text: it goes with -f TEXT"));
  }
  if (!flags.save_path.empty() && !flags.base_path.empty()) {
    return Fail(InvalidArgument("--save-logits and --kl-from exclude each other"));
  }
  if (line.Given("--stride") && flags.stride < 1) {
    return Fail(InvalidArgument("--stride must be at least 1, not {}", flags.stride));
  }
  const Status status = MeasureText(flags);
  return status.ok() ? kExitSuccess : Fail(status);
}

}  // namespace larder
