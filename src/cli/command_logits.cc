// larder logits: the logits of every position of a list of tokens.
#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <functional>
#include <memory>

#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/interrupt.h"
#include "cli/npy_writer.h"
#include "cli/output.h"
#include "cli/output_file.h"
#include "cli/progress.h"
#include "cli/token_list.h"
#include "engine/session.h"

namespace larder {

namespace {

struct LogitsFlags {
  EngineFlags engine;
  std::string tokens;
  bool json = false;
  std::string npy_path;
};

// Floats in their shortest form that reads back as the same bits; JSON knows no infinities.
Status PrintJsonRow(std::int64_t position, std::span<const float> logits) {
  fmt::memory_buffer text;
  fmt::format_to(std::back_inserter(text), "{}[", position == 0 ? "" : ",\n");
  for (std::size_t i = 0; i < logits.size(); ++i) {
    if (i > 0) text.push_back(',');
    if (std::isfinite(logits[i])) {
      fmt::format_to(std::back_inserter(text), "{}", logits[i]);
    } else {
      fmt::format_to(std::back_inserter(text), "null");
    }
  }
  text.push_back(']');
  return WriteStdout({text.data(), text.size()});
}

Status AppendAll(Engine& engine, const std::vector<std::int32_t>& tokens,
                 const Session::LogitsSink& sink) {
  InterruptScope interrupt;
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Session> session, engine.NewSession());
  interrupt.Watch(session.get());
  ProgressLine progress("logits", ProgressLine::Unit::kTokens);
  const Status status =
      session->Append(tokens, LogitsFor::kAllTokens, sink, [&](std::int64_t n_done) {
        progress.Update(static_cast<std::uint64_t>(n_done), tokens.size());
      });
  interrupt.Watch(nullptr);
  return status;
}

Status WriteNpy(Engine& engine, const std::vector<std::int32_t>& tokens, const std::string& path) {
  LARDER_ASSIGN_OR_RETURN(
      const std::unique_ptr<NpyWriter> writer,
      NpyWriter::Create(path, static_cast<std::int64_t>(tokens.size()), engine.shape().n_vocab));
  Status written;
  LARDER_RETURN_IF_ERROR(
      AppendAll(engine, tokens, [&](std::int64_t, std::span<const float> logits) {
        if (written.ok()) written = writer->Write(logits);
      }));
  LARDER_RETURN_IF_ERROR(written);
  return writer->Finish();
}

// Rows wait in memory until all are computed, so that a failure leaves no half of an answer.
Status PrintJson(Engine& engine, const std::vector<std::int32_t>& tokens) {
  std::vector<float> rows;
  LARDER_RETURN_IF_ERROR(
      AppendAll(engine, tokens, [&](std::int64_t, std::span<const float> logits) {
        rows.insert(rows.end(), logits.begin(), logits.end());
      }));
  const auto n_vocab = static_cast<std::size_t>(engine.shape().n_vocab);
  PrintTo(stdout, "{{\"n_tokens\":{},\"n_vocab\":{},\"tokens\":[{}],\"logits\":[", tokens.size(),
          n_vocab, fmt::join(tokens, ","));
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    LARDER_RETURN_IF_ERROR(
        PrintJsonRow(static_cast<std::int64_t>(i), std::span(rows).subspan(i * n_vocab, n_vocab)));
  }
  const std::string& lossy = engine.plan().lossy;  // a sentence of ours: nothing to escape
  return WriteStdout(lossy.empty() ? "]}\n" : "],\"lossy\":\"" + lossy + "\"}\n");
}

Status Logits(const LogitsFlags& flags) {
  LARDER_RETURN_IF_ERROR(CheckReplacedFile(flags.npy_path, {TokensFile(flags.tokens)}));
  LARDER_ASSIGN_OR_RETURN(EngineOptions options, MakeEngineOptions(flags.engine));
  LARDER_ASSIGN_OR_RETURN(const std::vector<std::int32_t> tokens, ParseTokenIds(flags.tokens));
  if (tokens.empty()) return InvalidArgument("logits needs at least one token in --tokens");
  const auto n_tokens = static_cast<std::int64_t>(tokens.size());
  if (options.context_tokens == 0) options.context_tokens = n_tokens;
  LARDER_ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, LoadEngine(std::move(options)));
  if (!flags.npy_path.empty()) return WriteNpy(*engine, tokens, flags.npy_path);
  return PrintJson(*engine, tokens);
}

}  // namespace

int LogitsMain(const Arguments& arguments) {
  CommandLine line("logits", "Writes the logits [n_tokens, n_vocab] of a list of tokens.",
                   "  larder logits -m model.gguf --tokens 1,2,3 --json\n"
                   "  larder logits -m model.gguf --tokens @ids.txt --npy logits.npy\n");
  LogitsFlags flags;
  AddEngineFlags(&line.app(), &flags.engine);
  line.app().add_option("--tokens", flags.tokens, "1,2,3 or @FILE")->type_name("IDS");
  line.app().add_flag("--json", flags.json, "print them as JSON");
  line.app().add_option("--npy", flags.npy_path, "write them as float32 .npy")->type_name("OUT");
  if (const auto exit_status = line.Parse(arguments)) return *exit_status;
  if (flags.tokens.empty()) return Fail(InvalidArgument("logits needs --tokens 1,2,3 or @FILE"));
  if (flags.json == !flags.npy_path.empty()) {
    return Fail(InvalidArgument("logits needs one of --json and --npy OUT"));
  }
  const Status status = Logits(flags);
  return status.ok() ? kExitSuccess : Fail(status);
}

}  // namespace larder
