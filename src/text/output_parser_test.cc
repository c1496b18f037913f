// Output parsers where models stray: frames that break, are cut off, or are only text; thinking
// tags; which format a template means; and bare values by their schema.
#include "text/output_parser.h"

#include <gtest/gtest.h>

#include <map>
#include <tuple>

#include "text/message_json.h"
#include "text/tool_schema.h"

namespace larder {
namespace {

const std::vector<ToolDefinition>& Tools() {
  static const std::vector<ToolDefinition> tools = {
      MakeTool("f", "", R"({"type":"object","properties":{"s":{"type":"string"},
                           "n":{"type":"integer"},"b":{"type":"boolean"}}})")};
  return tools;
}

// The deltas as one readable text: text as it is, (reasoning), [name arguments] or [name ...!why].
std::string Show(CallFormat format, std::string_view answer, std::string_view prompt = "",
                 bool reasons = true, const std::vector<ToolDefinition>& tools = Tools(),
                 OutputForm form = OutputForm::kFree) {
  OutputStyle style;
  style.calls = format;
  style.reasons = reasons;
  std::string shown[2];
  for (int piecewise = 0; piecewise < 2; ++piecewise) {
    const auto parser = MakeOutputParser(style, tools, prompt, form);
    std::vector<OutputDelta> deltas;
    if (piecewise == 1) {
      for (const char c : answer) parser->Feed({&c, 1}, &deltas);
    } else {
      parser->Feed(answer, &deltas);
    }
    parser->Finish(&deltas);
    bool reasoning = false;
    for (const OutputDelta& one : deltas) {
      if (reasoning != (one.kind == OutputDelta::Kind::kReasoning)) {
        reasoning = !reasoning;
        shown[piecewise] += reasoning ? "(" : ")";
      }
      switch (one.kind) {
        case OutputDelta::Kind::kCallBegin:
          shown[piecewise] += "[" + one.text + " ";
          break;
        case OutputDelta::Kind::kCallEnd:
          shown[piecewise] += "]";
          break;
        case OutputDelta::Kind::kCallFailed:
          shown[piecewise] += "!" + one.text + "]";
          break;
        default:
          shown[piecewise] += one.text;
      }
    }
    if (reasoning) shown[piecewise] += ")";
  }
  EXPECT_EQ(shown[0], shown[1]) << "whole and byte by byte";
  return shown[0];
}

TEST(OutputQwenXml, CallsTextAndThoughts) {
  const auto show = [](std::string_view answer, std::string_view prompt = "") {
    return Show(CallFormat::kQwenXml, answer, prompt);
  };
  EXPECT_EQ(show("plain <b>text</b>\n"), "plain <b>text</b>\n");
  EXPECT_EQ(show("Let me.\n\n<tool_call>\n<function=f>\n<parameter=s>\na\nb\n</parameter>\n"
                 "<parameter=n>\n5\n</parameter>\n</function>\n</tool_call>"),
            R"(Let me.[f {"s":"a\nb","n":5}])");
  EXPECT_EQ(show("<think>\nHm\n</think>\n\nYes"), "(Hm)Yes");
  EXPECT_EQ(show("Hm\n</think>\n\nYes", "<think>\n"), "(Hm)Yes");
  EXPECT_EQ(show("Hm", "assistant\n<think>\n"), "(Hm)");
  EXPECT_EQ(show("<think>\n\n</think>\n\nYes"), "Yes");
  EXPECT_EQ(show("a <think> tag"), "a <think> tag");
  EXPECT_EQ(show("<think>a <tool_call>\n</think>b"), "(a <tool_call>)b");
  EXPECT_EQ(show("<tool_call><function=f></function></tool_call>\n\nDone."), "[f {}]Done.");
}

TEST(OutputQwenXml, WhatModelsForget) {
  const auto show = [](std::string_view answer) { return Show(CallFormat::kQwenXml, answer); };
  // The section's beginning; a call's end; a section's end.
  EXPECT_EQ(show("<function=f>\n<parameter=b>\nTrue\n</parameter>\n</function>\n</tool_call>"),
            R"([f {"b":true}])");
  EXPECT_EQ(show("<tool_call>\n<function=f>\n<parameter=n>1</parameter>\n</tool_call>x"),
            R"([f {"n":1}]x)");
  EXPECT_EQ(show("<tool_call>\n<function=f>\n</function>\nThen"), "[f {}]Then");
  EXPECT_EQ(show("<tool_call>\n<function=f>\n</function>\nThen</tool_call> b"), "[f {}]Then b");
  // Only a known tool's name makes a bare call.
  EXPECT_EQ(show("<function=g>\n</function>"), "<function=g>\n</function>");
  EXPECT_EQ(show("<tool_call>\n<function=g>\n</function>\n</tool_call>"), "[g {}]");
}

TEST(OutputQwenXml, BrokenFramesAreTextOrAnError) {
  const auto show = [](std::string_view answer) { return Show(CallFormat::kQwenXml, answer); };
  for (const char* text :
       {"<tool_call>", "<tool_call>\n  x", "a <tool_call>\n<function=", "<tool_call>\n<function=f",
        "<tool_call>\n<function=f\n>", "<tool_call></tool_call>", "\n\n<tool_call> <tool"}) {
    EXPECT_EQ(show(text), text);
  }
  EXPECT_EQ(show("<tool_call>\n<function=f>\n<parameter=s>\nabc"),
            R"([f {"s":"abc!the call of f was not finished])");
  EXPECT_EQ(show("<tool_call>\n<function=f>\n"), "[f {!the call of f was not finished]");
  EXPECT_EQ(show("<tool_call>\n<function=f>\nhello\n</function>\n</tool_call>x"),
            "[f {!the call of f is malformed: neither a parameter nor its end follows]x");
  EXPECT_EQ(show("<tool_call><function=f><parameter=n>1</parameter><parameter=n>2</parameter>"
                 "</function></tool_call>x"),
            R"([f {"n":1!the call of f is malformed: parameter n is there twice]x)");
  EXPECT_EQ(show("<tool_call><function=f><parameter=s>\xff</parameter></function></tool_call>"),
            "[f {\"s\":\"\xff\"}!the text of the arguments is no valid JSON (at byte 7 of 9)]");
}

TEST(OutputHermes, WhatModelsWrite) {
  const auto show = [](std::string_view answer) { return Show(CallFormat::kHermesJson, answer); };
  EXPECT_EQ(show("Hi\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"s\": \"</tool_call>\"}}\n"
                 "</tool_call>"),
            R"(Hi[f {"s": "</tool_call>"}])");
  EXPECT_EQ(show(R"(<tool_call>{"arguments": {"n": [1, {}]}, "name": "f"}</tool_call>)"),
            R"([f {"n": [1, {}]}])");
  EXPECT_EQ(show(R"(<tool_call>{"id": 7, "name": "f", "parameters": {"n": 1}}}</tool_call>x)"),
            R"([f {"n": 1}]x)");
  EXPECT_EQ(show(R"(<tool_call>{"name": "f", "arguments": "{\"n\": 1}"}</tool_call>)"),
            R"([f {"n": 1}])");
  EXPECT_EQ(show(R"(<tool_call>{"name": "f"}</tool_call>)"), "[f {}]");
  EXPECT_EQ(show(R"(<tool_call>{"name": "f", "arguments": null}</tool_call>)"), "[f {}]");
  EXPECT_EQ(show("<tool_call>{\"name\": \"f\", \"arguments\": {\"s\": \"a\nb\"}}</tool_call>"),
            R"([f {"s": "a\nb"}])");
  EXPECT_EQ(show("<tool_call>{\"name\": \"f\", \"arguments\": {}} and so on"), "[f {}]and so on");
}

TEST(OutputHermes, BrokenFramesAreTextOrAnError) {
  const auto show = [](std::string_view answer) { return Show(CallFormat::kHermesJson, answer); };
  for (const char* text :
       {"<tool_call>", "<tool_call>\n{\"na", "<tool_call>[1]</tool_call>",
        "<tool_call>{\"arguments\": {}}</tool_call>", "<tool_call>{\"name\": 3}</tool_call>",
        "<tool_call>{'name': 'f'}</tool_call>", "<tool_call>{\"name\": \"\"}</tool_call>"}) {
    EXPECT_EQ(show(text), text);
  }
  EXPECT_EQ(show(R"(<tool_call>{"name": "f", "arguments": {"s": "abc)"),
            R"([f {"s": "abc!the call of f was not finished])");
  EXPECT_EQ(show(R"(<tool_call>{"name": "f", "arguments": {"s": 1]}</tool_call>x)"),
            R"([f {"s": 1!the call of f is malformed JSON]x)");
  EXPECT_EQ(show(R"(<tool_call>{"name": "f", "arguments": {"s" 1}}</tool_call>x)"),
            R"([f {"s" 1}!the text of the arguments is no valid JSON (at byte 6 of 7)]x)");
  EXPECT_EQ(show(R"(<tool_call>{"name": "f", "arguments": [1]}</tool_call>)"),
            "[f [1]!the arguments of the call are no JSON object]");
  const std::string deep = "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": ";
  EXPECT_NE(show(deep + std::string(100000, '[')).find("malformed JSON]"), std::string::npos);
}

TEST(OutputDeepseek, OldAndNewForms) {
  const auto show = [](std::string_view answer) { return Show(CallFormat::kDeepseek, answer); };
  EXPECT_EQ(show("Look.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"n\": 1}"
                 "<｜tool▁call▁end｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{}<｜tool▁call▁end｜>"
                 "<｜tool▁calls▁end｜>"),
            R"(Look.[f {"n": 1}][f {}])");
  EXPECT_EQ(show("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n"
                 "{\"n\": 1}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>"),
            R"([f {"n": 1}])");
  EXPECT_EQ(show("<｜tool▁call▁begin｜>f<｜tool▁sep｜>\"{\\\"n\\\": 1}\"<｜tool▁call▁end｜>ok"),
            R"([f {"n": 1}]ok)");
  EXPECT_EQ(show("<｜tool▁calls▁begin｜>nothing"), "<｜tool▁calls▁begin｜>nothing");
  EXPECT_EQ(show("<｜tool▁call▁begin｜>f<｜tool▁call▁end｜>"),
            "<｜tool▁call▁begin｜>f<｜tool▁call▁end｜>");
  EXPECT_EQ(show("<｜tool▁call▁begin｜>f<｜tool▁sep｜>x<｜tool▁call▁end｜><｜tool▁calls▁end｜>y"),
            "[f x!the call of f has arguments that are no JSON object]y");
  EXPECT_EQ(show("<｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"n\": "),
            R"([f {"n": !the call of f was not finished])");
  // A name of just the longest kind, whose marker comes in pieces.
  for (const std::size_t n_bytes : {255u, 256u, 257u}) {
    const std::string name(n_bytes, 'f');
    const std::string begun = "<｜tool▁call▁begin｜>" + name + "<｜tool▁sep｜>";
    EXPECT_EQ(show(begun + "{}<｜tool▁call▁end｜>"),
              n_bytes <= 256 ? "[" + name + " {}]" : begun + "{}<｜tool▁call▁end｜>");
  }
}

TEST(OutputHarmony, Channels) {
  const std::string prompt = "<|start|>user<|message|>Hi<|end|><|start|>assistant";
  const auto show = [&](std::string_view answer) {
    return Show(CallFormat::kHarmony, answer, prompt);
  };
  EXPECT_EQ(show("<|channel|>analysis<|message|>Hm<|end|><|start|>assistant<|channel|>final"
                 "<|message|>Yes<|return|>"),
            "(Hm)Yes");
  EXPECT_EQ(show("<|channel|>commentary<|message|>I look.<|end|><|start|>assistant<|channel|>"
                 "commentary to=functions.f <|constrain|>json<|message|>{\"n\": 1}<|call|>"),
            R"(I look.[f {"n": 1}])");
  EXPECT_EQ(show(" to=functions.f<|channel|>commentary json<|message|>{\"s\": \"<|call|>\"}"),
            R"([f {"s": "<|call|>"}])");
  EXPECT_EQ(show("<|channel|>analysis<|message|>Hm\n"), "(Hm)");
  EXPECT_EQ(show("<|channel|>fin"), "");
  EXPECT_EQ(show("just text"), "just text");
  EXPECT_EQ(show("<|channel|>commentary to=functions.f<|message|>{\"n\": "),
            R"([f {"n": !the call of f was not finished])");
  EXPECT_EQ(show("<|channel|>commentary to=functions.f<|message|>print()<|call|>"),
            "[f print!the call of f has arguments that are no JSON object]");
  EXPECT_EQ(Show(CallFormat::kHarmony, "<|channel|>final<|message|>a<|end|>b", ""), "ab");
}

TEST(OutputPlain, WithoutToolsNothingIsACall) {
  EXPECT_EQ(Show(CallFormat::kQwenXml, "<tool_call>\n<function=f>", "", true, {}),
            "<tool_call>\n<function=f>");
  EXPECT_EQ(Show(CallFormat::kNone, "<think>a</think>b", "", true), "(a)b");
  EXPECT_EQ(Show(CallFormat::kNone, "<think>a</think>b", "", false), "<think>a</think>b");
  EXPECT_EQ(Show(CallFormat::kNone, "<thi", "", true), "<thi");
  EXPECT_EQ(Show(CallFormat::kNone, "a</think>b", "x<think>", false), "(a)b");
}

TEST(OutputStyleOf, TemplatesByTheirMarkers) {
  const auto calls = [](std::string_view text) {
    return std::string(CallFormatName(DetectOutputStyle(text, nullptr).calls));
  };
  EXPECT_EQ(calls("'<tool_call>\\n<function=' + name"), "qwen-xml");
  EXPECT_EQ(calls("'<tool_call>\\n{\"name\": '"), "hermes-json");
  EXPECT_EQ(calls("<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>"), "deepseek");
  EXPECT_EQ(calls("set dsml_token = '｜DSML｜'"), "deepseek-dsml");
  EXPECT_EQ(calls("<tool_call><arg_key>"), "none");
  EXPECT_EQ(calls("<|channel|>analysis"), "harmony");
  EXPECT_EQ(calls("<|im_start|>"), "none");
  EXPECT_EQ(calls(""), "none");
  EXPECT_EQ(DetectOutputStyle("'\\n</think>\\n\\n'", nullptr).end_of_thought, "\n</think>\n\n");
  EXPECT_FALSE(DetectOutputStyle("<|im_start|>", nullptr).reasons);
  const OutputStyle harmony = DetectOutputStyle("<|channel|>", nullptr);
  EXPECT_TRUE(harmony.GoesOnAfter("<|end|>"));
  EXPECT_FALSE(harmony.GoesOnAfter("<|return|>"));
  EXPECT_FALSE(DetectOutputStyle("", nullptr).GoesOnAfter("<|end|>"));
}

TEST(ToolSchema, BareValuesByType) {
  const auto schema = ParseJson(R"({"properties":{
    "s":{"type":"string"},"n":{"type":"integer"},"b":{"type":"boolean"},"o":{"type":"object"},
    "sn":{"type":["string","null"]},"e":{"enum":[1,2]},"es":{"enum":["1"]},"c":{"const":true},
    "any":{},"u":{"anyOf":[{"type":"number"},{"type":"string"}]},
    "r":{"$ref":"#/$defs/x"},"loop":{"$ref":"#/properties/loop"}},
    "$defs":{"x":{"type":"array"}},"additionalProperties":{"type":"string"}})",
                                "schema");
  ASSERT_TRUE(schema.ok());
  const auto json = [&](const char* name, std::string_view value) {
    return ValueToJson(value, ParameterTypes(*schema, name));
  };
  EXPECT_EQ(json("s", "5"), "\"5\"");
  EXPECT_EQ(json("s", " {} "), "\" {} \"");
  EXPECT_EQ(json("n", " 5\n"), "5");
  EXPECT_EQ(json("n", "five"), "\"five\"");
  EXPECT_EQ(json("b", "True"), "true");
  EXPECT_EQ(json("o", "{\"a\": [1]}"), "{\"a\": [1]}");
  EXPECT_EQ(json("o", "[1]"), "\"[1]\"");
  EXPECT_EQ(json("sn", "None"), "null");
  EXPECT_EQ(json("sn", "5"), "\"5\"");
  EXPECT_EQ(json("e", "2"), "2");
  EXPECT_EQ(json("es", "1"), "\"1\"");
  EXPECT_EQ(json("c", "true"), "true");
  EXPECT_EQ(json("any", "5"), "5");
  EXPECT_EQ(json("any", "True"), "\"True\"");
  EXPECT_EQ(json("any", "\"x\""), "\"\\\"x\\\"\"");
  EXPECT_EQ(json("any", ""), "\"\"");
  EXPECT_EQ(json("u", "5"), "5");
  EXPECT_EQ(json("u", "x"), "\"x\"");
  // A name that patterns may speak of has no types.
  const auto patterns = ParseJson(
      R"({"patternProperties":{"^p":{}},"additionalProperties":{"type":"string"}})", "schema");
  EXPECT_TRUE(ParameterTypes(*patterns, "p").any());
  EXPECT_EQ(json("other", "5"), "\"5\"");
  EXPECT_EQ(json("r", "[]"), "[]");
  EXPECT_EQ(json("loop", "5"), "5");
  EXPECT_EQ(json("other", "5"), "\"5\"");
}

std::string ShowForm(OutputForm form, CallFormat format, std::string_view answer,
                     std::string_view prompt = "") {
  return Show(format, answer, prompt, true, Tools(), form);
}

// Where an answer is calls or a JSON text, its beginning says which.
TEST(OutputForm, AJsonTextIsNeverACall) {
  const std::string call = "<tool_call>\n<function=f>\n</function>\n</tool_call>";
  const std::string marked = "<｜tool▁call▁begin｜>f<｜tool▁sep｜>{}<｜tool▁call▁end｜>";
  const std::string sent = "<|channel|>commentary to=functions.f<|message|>{}<|call|>";
  const std::string hermes = R"(<tool_call>{"name": "f", "arguments": {}}</tool_call>)";
  const std::map<CallFormat, std::string> calls = {{CallFormat::kQwenXml, call},
                                                   {CallFormat::kHermesJson, hermes},
                                                   {CallFormat::kDeepseek, marked},
                                                   {CallFormat::kHarmony, sent}};
  for (const auto& [format, one] : calls) {
    const auto show = [format = format](const std::string& answer, const std::string& prompt = "") {
      return ShowForm(OutputForm::kCallsOrText, format, answer, prompt);
    };
    const std::string json = " {\"a\": \"" + one + "<think>x</think><|end|>\"}";
    EXPECT_EQ(show(one), "[f {}]");
    EXPECT_EQ(show(json), json);
    EXPECT_EQ(show(json + "<"), json + "<");
    EXPECT_EQ(show("7"), "7");
    EXPECT_EQ(show(""), "");
    EXPECT_EQ(show("\n" + one), "[f {}]");
    EXPECT_EQ(show(one.substr(0, 5)), "");
    if (format == CallFormat::kHarmony) {
      EXPECT_EQ(show("<|channel|>final<|message|>" + json + "<|return|>"), json);
      EXPECT_EQ(show("<|channel|>final<|mess"), "");
    } else {
      EXPECT_EQ(show("thought</think>\n\n{" + one, "<think>\n"), "(thought){" + one);
      EXPECT_EQ(show("<think>thought</think>\n\n" + one), "(thought)[f {}]");
    }
  }
}

// A call that is cut off before its name is known is nothing, wherever it is cut.
TEST(OutputForm, NothingButCallsComes) {
  const std::string call = "<tool_call>\n<function=f>\n</function>\n</tool_call>";
  const std::string marked =
      "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{}<｜tool▁call▁end｜>";
  const std::string hermes = R"(<tool_call>{"name": "f", "arguments": {}}</tool_call>)";
  for (const OutputForm form : {OutputForm::kCalls, OutputForm::kCallsOrText}) {
    for (const auto& [format, one, n_named] :
         {std::tuple(CallFormat::kQwenXml, call, call.find('f', 15) + 2),
          std::tuple(CallFormat::kDeepseek, marked, marked.find("{}")),
          std::tuple(CallFormat::kHermesJson, hermes, hermes.find("f\"") + 2)}) {
      for (std::size_t n = 0; n < n_named; ++n) {
        EXPECT_EQ(ShowForm(form, format, one.substr(0, n)), "") << n;
        EXPECT_EQ(ShowForm(form, format, one + "\n" + one.substr(0, n)), "[f {}]") << n;
      }
      EXPECT_EQ(ShowForm(form, format, one.substr(0, n_named + 1)).substr(0, 3), "[f ");
    }
  }
}

TEST(MessageBuilder, OnlyCallsThatEndedCount) {
  OutputStyle style;
  style.calls = CallFormat::kHermesJson;
  const auto parser = MakeOutputParser(style, Tools(), "");
  std::vector<OutputDelta> deltas;
  parser->Feed(R"(a<tool_call>{"name": "f", "arguments": [1]}</tool_call>)", &deltas);
  parser->Feed(R"(<tool_call>{"name": "f", "arguments": {"n": 1}}</tool_call>)", &deltas);
  parser->Finish(&deltas);
  MessageBuilder builder;
  for (const OutputDelta& one : deltas) builder.Add(one);
  const Message message = builder.Build(4);
  EXPECT_EQ(message.text, "a");
  EXPECT_FALSE(message.reasoning.has_value());
  ASSERT_EQ(message.tool_calls.size(), 1u);
  EXPECT_EQ(message.tool_calls[0].arguments_json, "{\"n\": 1}");
  EXPECT_EQ(message.tool_calls[0].id, "call_4");
  EXPECT_EQ(builder.failures().size(), 1u);
  const Message broken = builder.BuildWithBrokenCalls();
  ASSERT_EQ(broken.tool_calls.size(), 2u);
  EXPECT_EQ(broken.tool_calls[0].arguments_json, "[1]");
  EXPECT_EQ(broken.tool_calls[1].arguments_json, "{\"n\": 1}");
}

}  // namespace
}  // namespace larder
