// A model that says what a test wants: all its layers are zero, so that the next token depends on
// the last one alone, and its own chat template ends the prompt with a token that leads to the
// answer. A whole answer is one token of the vocabulary. For tests of everything around a model.
#pragma once

#include <string>
#include <vector>

namespace larder {

/// Behind the token `after`, the token `then` follows. Texts that are not one byte become tokens.
struct ScriptStep {
  std::string after;
  std::string then;
};

struct Script {
  std::string chat_template;
  std::string other_template;     // the file's further template, named "tests"
  std::vector<std::string> cues;  // control tokens that the template ends prompts with
  std::vector<ScriptStep> steps;
};

/// The end of an answer, as a step's `then`.
inline constexpr const char* kEndOfAnswer = "<|im_end|>";

void WriteScriptedModel(const std::string& path, const Script& script);

/// A script for `larder chat`: "file" in the last message makes it read note.txt, "run" runs
/// `echo here; touch ../outside.txt`, "wait" runs a command that writes pid.txt and sleeps, and
/// then reads note.txt, "sing" goes on for ever, anything else is greeted; a tool's result is
/// answered with "Done.", that the user stopped one with "As you wish."; thoughts never end by
/// themselves, and "ponder" begins one even when thinking is off.
Script ChatScript();

/// The same in harmony: it thinks for ever, and says "Because." where its thought is closed; "file"
/// makes it read note.txt, which it answers with "Done.".
Script HarmonyScript();

}  // namespace larder
