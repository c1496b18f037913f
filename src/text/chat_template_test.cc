// What templates may not do: limits, nesting, hostile sources and inputs. That the text is right:
// tests/template_golden_test.cc.
#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <tuple>
#include <vector>

#include "text/vocabulary_testing.h"

namespace larder {
namespace {

constexpr const char* kNoMessages = R"({"messages": []})";

Result<std::string> Render(std::string_view source, std::string_view input = kNoMessages,
                           const RenderOptions& options = RenderOptions()) {
  const Result<ChatTemplate> chat = ChatTemplate::Parse(source);
  if (!chat.ok()) return chat.status();
  return chat->RenderText(input, options);
}

// Within a tenth of the usual steps, so that tests of the limit end soon.
std::string Refusal(std::string_view source, std::string_view input = kNoMessages) {
  RenderOptions options;
  options.limits.max_steps = 2'000'000;
  const Result<std::string> text = Render(source, input, options);
  return text.ok() ? "rendered: " + text->substr(0, 100) : text.status().message();
}

std::string Repeat(std::string_view text, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += text;
  return out;
}

TEST(ChatTemplate, SaysWhereItFails) {
  EXPECT_EQ(Refusal("a\nb\n{{ x.y }}"), "chat template, line 3: 'x' is undefined");
  EXPECT_EQ(Refusal("{% if %}"),
            "chat template, line 1: expected an expression, got the end of the tag");
  EXPECT_EQ(Refusal("\n{{ 1|nosuch }}"), "chat template, line 2: there is no filter 'nosuch'");
  EXPECT_EQ(Refusal("{{ raise_exception('No tools here') }}"),
            "the chat template refuses this: No tools here");
  EXPECT_EQ(Refusal("{{ 1 }}", "{"), "a chat template's input: no JSON at byte 2");
  EXPECT_EQ(Refusal("{{ 1 }}", "[]"),
            "a chat template's input: the input must be a JSON object with messages");
  EXPECT_EQ(Refusal("{{ 1 }}", R"({"messages": 1})"),
            "a chat template's input: the input needs \"messages\", a list of objects");
}

TEST(ChatTemplate, IntegersBeyond64BitsAreRefused) {
  EXPECT_EQ(*Render("{{ 9223372036854775807 }}"), "9223372036854775807");
  EXPECT_EQ(Refusal("{{ 9223372036854775807 + 1 }}"),
            "chat template, line 1: an integer of the template needs more than 64 bits");
  const std::string wide =
      "a chat template's input: an integer of the input needs more than 64 bits";
  EXPECT_EQ(Refusal("{{ x }}", R"({"messages": [], "x": 9223372036854775808})"), wide);
  EXPECT_EQ(Refusal("{{ x }}", R"({"messages": [], "x": 123456789012345678901234567890})"), wide);
}

TEST(ChatTemplate, StepsMemoryAndOutputAreLimited) {
  EXPECT_NE(
      Refusal("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}")
          .find("steps"),
      std::string::npos);
  EXPECT_NE(Refusal("{{ 'x' * 999999999999 }}").find("memory"), std::string::npos);
  EXPECT_NE(Refusal("{{ [0] * 99999999999 }}").find("memory"), std::string::npos);
  EXPECT_NE(Refusal("{{ 'x'.ljust(999999999999) }}").find("memory"), std::string::npos);
  EXPECT_NE(Refusal("{{ '%999999999d' % 1 }}").find("too large"), std::string::npos);
  const std::string doubling =
      "{% set ns = namespace(x='abcdefgh') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}"
      "{% endfor %}{{ ns.x|length }}";
  // 16 bytes moved are a step: with these limits the steps end first.
  EXPECT_NE(Refusal(doubling).find("steps"), std::string::npos);
  const std::string shared =
      "{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% set ns.x = [ns.x, ns.x] %}"
      "{% endfor %}";
  for (const char* use : {"{{ ns.x }}", "{{ ns.x|tojson }}", "{{ {ns.x|string: 1} }}",
                          "{{ ns.x|map('string')|list|length }}"}) {
    const std::string refusal = Refusal(shared + use);
    EXPECT_NE(refusal.find("steps"), std::string::npos) << use << ": " << refusal;
  }
  RenderOptions small;
  small.limits.max_output_bytes = 1000;
  const Result<std::string> long_text = Render("{{ 'x' * 1001 }}", kNoMessages, small);
  EXPECT_FALSE(long_text.ok());
  EXPECT_TRUE(Render("{{ 'x' * 1000 }}", kNoMessages, small).ok());
}

TEST(ChatTemplate, TellsItsLimitsFromOtherRefusals) {
  bool too_large = false;
  RenderOptions options;
  options.limits.max_steps = 2'000'000;
  options.limits.max_memory_bytes = 100'000;
  options.too_large = &too_large;
  const std::string long_input = R"({"messages": [], "x": ")" + std::string(200'000, 'x') + "\"}";
  for (const auto& [source, input, expected] :
       std::vector<std::tuple<std::string, std::string, bool>>{
           {"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            kNoMessages, true},
           {"{{ raise_exception('no') }}", kNoMessages, false},
           {"{{ 1 }}", long_input, true},
           {"{{ 1 }}", "[]", false}}) {
    too_large = !expected;
    EXPECT_FALSE(Render(source, input, options).ok());
    EXPECT_EQ(too_large, expected) << source;
  }
}

TEST(ChatTemplate, NestingIsLimited) {
  for (const char* open : {"(", "[", "{1:", "not ", "- ", "a[", "f(", "1 if ", "x|f("}) {
    EXPECT_NE(Refusal("{{ " + Repeat(open, 50000)).find("deep"), std::string::npos) << open;
  }
  for (const char* chain : {"1+", "1~", "1*", "a.", "x or ", "x and ", "1<", "1 if x else "}) {
    const std::string refusal = Refusal("{{ " + Repeat(chain, 20000) + "a }}");
    EXPECT_EQ(refusal.find("rendered: a"), std::string::npos) << chain;
  }
  EXPECT_FALSE(Render("{{ a" + Repeat("|string", 5000) + " }}").ok());
  EXPECT_FALSE(Render(Repeat("{% if 1 %}", 5000) + Repeat("{% endif %}", 5000)).ok());
  EXPECT_FALSE(Render("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}").ok());
  EXPECT_FALSE(Render("{% macro m() %}{% call m() %}{% endcall %}{% endmacro %}{{ m() }}").ok());
  EXPECT_FALSE(Render("{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}").ok());
  const std::string nest = "{% set ns = namespace(x=0) %}{% for i in range(5000) %}";
  EXPECT_FALSE(Render(nest + "{% set ns.x = [ns.x] %}{% endfor %}").ok());
  EXPECT_FALSE(Render(nest + "{% set ns.x = {'a': ns.x} %}{% endfor %}").ok());
  EXPECT_FALSE(Render(nest + "{% set ns.x = [ns.x]|map('string') %}{% set ns.x = [ns.x] %}"
                             "{% endfor %}")
                   .ok());
  EXPECT_FALSE(
      Render("{{ 1 }}", R"({"messages": [], "x": )" + Repeat("[", 5000) + Repeat("]", 5000) + "}")
          .ok());
}

// Chains through namespaces and macros are taken apart without recursion.
TEST(ChatTemplate, LongChainsAndCyclesAreReleased) {
  EXPECT_EQ(*Render("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns.me.me is defined }}"),
            "True");
  EXPECT_EQ(*Render("{% set ns = namespace(p=0) %}{% for i in range(50000) %}"
                    "{% set ns.p = namespace(p=ns.p) %}{% endfor %}x"),
            "x");
  EXPECT_EQ(*Render("{% set ns = namespace(f=0) %}{% macro m(prev) %}{% macro inner() %}{{ prev }}"
                    "{% endmacro %}{% set ns.f = inner %}{% endmacro %}{% for i in range(20000) %}"
                    "{{ m(ns.f) }}{% endfor %}x"),
            "x");
}

TEST(ChatTemplate, HostileSources) {
  EXPECT_FALSE(ChatTemplate::Parse("\xff").ok());
  EXPECT_FALSE(ChatTemplate::Parse(std::string((1 << 20) + 1, 'x')).ok());
  EXPECT_FALSE(Render("{{ 'a\\ud800' }}").ok());
  EXPECT_TRUE(Render("").ok());
  EXPECT_EQ(*Render(std::string("a\0b", 3)), std::string("a\0b", 3));
  // A text searched for a part that nearly matches everywhere takes linear time.
  const std::string slow = "{% set a = 'a' * 1000000 %}{% set b = 'a' * 500000 ~ 'b' %}";
  EXPECT_EQ(*Render(slow + "{{ b in a }}{{ a.find(b) }}{{ a.count(b) }}"), "False-10");
}

TEST(ChatTemplate, ReasoningHasAllItsNames) {
  const char* source =
      "{% for m in messages %}{{ m.reasoning_content }}|{{ m.thinking }};{% endfor %}";
  EXPECT_EQ(*Render(source, R"({"messages": [{"reasoning_content": "a"}, {"thinking": "b"},
      {"reasoning": "c"}, {"reasoning": null}, {"thinking": "d", "reasoning_content": "e"}]})"),
            "a|a;b|b;c|c;|;e|d;");
}

}  // namespace
}  // namespace larder
