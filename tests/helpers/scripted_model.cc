// Zero weights and a lookup table in the embedding and the output.
#include "helpers/scripted_model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "base/random.h"
#include "helpers/tiny_model.h"
#include "text/vocabulary_testing.h"

namespace larder {

namespace {

constexpr std::int64_t kModelDim = 64;  // MakeTinyModelParts'

// Byte tokens, then the script's own, then cues and the end.
class Vocabulary {
 public:
  explicit Vocabulary(const Script& script) {
    for (int byte = 0; byte < 256; ++byte) ids_[std::string(1, static_cast<char>(byte))] = byte;
    std::vector<std::string> control = script.cues;
    control.push_back(kEndOfAnswer);
    for (const ScriptStep& step : script.steps) {
      for (const std::string& text : {step.after, step.then}) {
        const bool known = text.size() == 1 ||
                           std::count(control.begin(), control.end(), text) != 0 ||
                           std::count(own_.begin(), own_.end(), text) != 0;
        if (!known) own_.push_back(text);
      }
    }
    for (const std::string& text : own_) ids_.emplace(text, static_cast<int>(ids_.size()));
    for (const std::string& text : control) ids_.emplace(text, static_cast<int>(ids_.size()));
    control_ = std::move(control);
  }

  int Id(const std::string& text) const { return ids_.at(text); }
  std::int64_t size() const { return static_cast<std::int64_t>(ids_.size()); }

  void Put(Metadata* metadata) const {
    std::vector<std::string> tokens;
    for (int byte = 0; byte < 256; ++byte) tokens.push_back(InByteAlphabet(byte));
    std::vector<std::int64_t> types(tokens.size(), 1);
    tokens.insert(tokens.end(), own_.begin(), own_.end());
    types.resize(tokens.size(), 4);
    tokens.insert(tokens.end(), control_.begin(), control_.end());
    types.resize(tokens.size(), 3);
    metadata->SetString("tokenizer.ggml.model", "gpt2");
    metadata->SetString("tokenizer.ggml.pre", "qwen2");
    metadata->SetStrings("tokenizer.ggml.tokens", tokens);
    metadata->SetInts("tokenizer.ggml.token_type", types);
    metadata->SetStrings("tokenizer.ggml.merges", {});
    metadata->SetUint32("tokenizer.ggml.eos_token_id", static_cast<std::uint32_t>(size() - 1));
  }

 private:
  std::map<std::string, int> ids_;
  std::vector<std::string> own_, control_;
};

}  // namespace

void WriteScriptedModel(const std::string& path, const Script& script) {
  const Vocabulary vocabulary(script);
  TinyModelParts parts = MakeTinyModelParts();
  vocabulary.Put(&parts.metadata);
  parts.metadata.SetString("tokenizer.chat_template", script.chat_template);
  parts.metadata.SetString("tokenizer.chat_template.tests", script.other_template);
  parts.metadata.SetUint32("qwen35moe.context_length", 1 << 20);
  const auto n_values = static_cast<std::size_t>(vocabulary.size() * kModelDim);
  std::vector<float> embedding(n_values), output(n_values, 0.0f);
  // Rows of signs are nearly at right angles to each other: 64 against about 8.
  SplitMix64 random(3);
  for (float& value : embedding) value = random.NextUnit() < 0.5 ? -1.0f : 1.0f;
  for (const ScriptStep& step : script.steps) {
    const auto from = static_cast<std::size_t>(vocabulary.Id(step.after) * kModelDim);
    const auto to = static_cast<std::size_t>(vocabulary.Id(step.then) * kModelDim);
    for (std::size_t i = 0; i < kModelDim; ++i) output[to + i] += embedding[from + i];
  }
  for (auto& tensor : parts.tensors) {
    if (tensor.name == "token_embd.weight" || tensor.name == "output.weight") {
      tensor.dims[1] = vocabulary.size();
    }
  }
  auto writer = GgufWriter::Create(path, parts.metadata, parts.tensors);
  ASSERT_TRUE(writer.ok()) << writer.status().message();
  for (const auto& tensor : parts.tensors) {
    std::size_t n_elements = 1;
    for (const std::int64_t dim : tensor.dims) n_elements *= static_cast<std::size_t>(dim);
    std::vector<float> values(n_elements, tensor.name == "output_norm.weight" ? 1.0f : 0.0f);
    if (tensor.name == "token_embd.weight") values = embedding;
    if (tensor.name == "output.weight") values = output;
    const Status status = (*writer)->Write(std::as_bytes(std::span(values)));
    ASSERT_TRUE(status.ok()) << status.message();
  }
  const Status status = (*writer)->Finish();
  ASSERT_TRUE(status.ok()) << status.message();
}

Script ChatScript() {
  Script script;
  script.chat_template =
      "{#- <tool_call> <function= '\\n</think>\\n\\n' -#}"
      "{%- for tool in tools or [] %}{{ tool | tojson }}\n{% endfor -%}"
      "{%- for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor -%}"
      "{%- if add_generation_prompt -%}"
      "{%- set last = messages[-1] -%}"
      "{%- if enable_thinking %}<think>"
      "{%- elif last.role == 'tool' and 'the user stopped' in last.content %}<|stopped|>"
      "{%- elif last.role == 'tool' %}<|done|>"
      "{%- elif 'ponder' in last.content %}<think>"
      "{%- elif 'file' in last.content %}<|read|>"
      "{%- elif 'run' in last.content %}<|run|>"
      "{%- elif 'wait' in last.content %}<|wait|>"
      "{%- elif 'sing' in last.content %}<|sing|>"
      "{%- else %}<|hello|>{% endif -%}"
      "{%- endif -%}";
  script.other_template = "<|sing|>";
  script.cues = {"<|done|>", "<|stopped|>", "<|read|>", "<|run|>",
                 "<|wait|>", "<|sing|>",    "<|hello|>"};
  const auto call = [](const std::string& tool, const std::string& key, const std::string& value) {
    return "<tool_call>\n<function=" + tool + ">\n<parameter=" + key + ">\n" + value +
           "\n</parameter>\n</function>\n</tool_call>";
  };
  const std::string read = call("read_file", "path", "note.txt");
  const std::string run = call("run_command", "command", "echo here; touch ../outside.txt");
  const std::string wait =
      call("run_command", "command", "echo $$ > pid.txt; echo begun; sleep 600") + "\n" + read;
  script.steps = {{"<|hello|>", "Hello to you."},
                  {"Hello to you.", kEndOfAnswer},
                  {"<|read|>", read},
                  {read, kEndOfAnswer},
                  {"<|run|>", run},
                  {run, kEndOfAnswer},
                  {"<|wait|>", wait},
                  {wait, kEndOfAnswer},
                  {"<|stopped|>", "As you wish."},
                  {"As you wish.", kEndOfAnswer},
                  {"<|done|>", "Done."},
                  {"Done.", kEndOfAnswer},
                  {"<|sing|>", "la "},
                  {"la ", "la "},
                  {"<think>", "hm "},
                  {"hm ", "hm "},
                  {"\n", "Because."},
                  {"Because.", kEndOfAnswer}};
  return script;
}

Script HarmonyScript() {
  Script script;
  script.chat_template =
      "{%- for tool in tools or [] %}{{ tool | tojson }}\n{% endfor -%}"
      "{%- for message in messages %}{{ message.role }}: {{ message.content }}\n{% endfor -%}"
      "{%- if add_generation_prompt %}{{ '<|start|>assistant' }}"
      "{%- if messages[-1].role == 'tool' %}<|done|>"
      "{%- elif 'file' in messages[-1].content %}<|read|>{% endif -%}"
      "{%- endif -%}{#- <|channel|> -#}";
  script.cues = {"<|done|>", "<|read|>"};
  const std::string read =
      "<|channel|>commentary to=functions.read_file <|constrain|>json<|message|>"
      "{\"path\": \"note.txt\"}<|call|>";
  const std::string final = "<|channel|>final<|message|>";
  const std::string analysis = "<|channel|>analysis<|message|>";
  script.steps = {{"<|start|>assistant", analysis},
                  {analysis, "hm "},
                  {"hm ", "hm "},
                  {final, "Because."},
                  {"Because.", kEndOfAnswer},
                  {"<|read|>", read},
                  {read, kEndOfAnswer},
                  {"<|done|>", final + "Done."},
                  {final + "Done.", kEndOfAnswer}};
  return script;
}

}  // namespace larder
