// Methods of str that strip, split, join and replace.
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja_markup.h"
#include "text/jinja_methods.h"
#include "text/python_text.h"

namespace larder::jinja {
namespace {

std::string_view SelfText(const MethodCall& call) { return call.self.text(); }

bool IsGiven(const Value& value) { return !value.IsMissing() && !value.is(Kind::kNone); }

// An argument that a safe string escapes before it uses it.
std::string Escaped(const MethodCall& call, const Value& value, std::string_view what) {
  const std::string& text = TextArgument(value, what);
  return call.self.string().markup ? EscapedText(call.meter, value) : text;
}

Value Parts(const MethodCall& call, const std::vector<std::string_view>& parts) {
  std::vector<Value> values;
  call.meter.Reserve(parts.size() * (sizeof(Value) + sizeof(String)));
  values.reserve(parts.size());
  for (const std::string_view part : parts) values.push_back(call.Result(std::string(part)));
  return MakeList(call.meter, std::move(values));
}

template <Sides sides>
Value Strip(const MethodCall& call) {
  if (!IsGiven(call[0])) return call.Result(std::string(StripSpace(SelfText(call), sides)));
  const std::string& chars = TextArgument(call[0], "strip arg");
  call.meter.Step(chars.size() * 4);
  return call.Result(std::string(StripChars(SelfText(call), chars, sides)));
}

std::vector<std::string_view> SplitAt(Meter& meter, std::string_view text, std::string_view part,
                                      std::int64_t max_splits) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  while (max_splits < 0 || static_cast<std::int64_t>(parts.size()) < max_splits) {
    const std::size_t at = FindText(text, part, begin);
    if (at == std::string_view::npos) break;
    meter.StepBytes(part.size());
    parts.push_back(text.substr(begin, at - begin));
    begin = at + part.size();
  }
  parts.push_back(text.substr(begin));
  return parts;
}

std::vector<std::string_view> RSplitAt(Meter& meter, std::string_view text, std::string_view part,
                                       std::int64_t max_splits) {
  std::vector<std::string_view> parts;
  // rfind compares at every place: at worst the length of the part each.
  meter.Step(text.size() * part.size() / 64);
  while (max_splits < 0 || static_cast<std::int64_t>(parts.size()) < max_splits) {
    const std::size_t at = text.rfind(part);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(at + part.size()));
    text = text.substr(0, at);
  }
  parts.push_back(text);
  return {parts.rbegin(), parts.rend()};
}

template <bool from_right>
Value Split(const MethodCall& call) {
  const std::int64_t max_splits = IntegerArgument(call[1], -1);
  const std::string_view text = SelfText(call);
  if (!IsGiven(call[0])) {
    return Parts(call, from_right ? RSplitSpace(text, max_splits) : SplitSpace(text, max_splits));
  }
  const std::string part = TextArgument(call[0], "the separator");
  if (part.empty()) Fail(Fault::kValue, "empty separator");
  return Parts(call, from_right ? RSplitAt(call.meter, text, part, max_splits)
                                : SplitAt(call.meter, text, part, max_splits));
}

Value SplitLinesOf(const MethodCall& call) {
  return Parts(call, SplitLines(SelfText(call), FlagArgument(call[0], false)));
}

template <bool from_right>
Value Partition(const MethodCall& call) {
  const std::string part = TextArgument(call[0], "the separator");
  if (part.empty()) Fail(Fault::kValue, "empty separator");
  const auto parts = from_right ? RSplitAt(call.meter, SelfText(call), part, 1)
                                : SplitAt(call.meter, SelfText(call), part, 1);
  std::vector<Value> values;
  const auto add = [&](std::string_view text) { values.push_back(call.Result(std::string(text))); };
  if (parts.size() == 2) {
    add(parts[0]);
    add(part);
    add(parts[1]);
  } else {
    if (from_right) add(""), add("");
    add(parts[0]);
    if (!from_right) add(""), add("");
  }
  return MakeTuple(call.meter, std::move(values));
}

template <bool prefix>
Value RemoveAffix(const MethodCall& call) {
  const std::string& part = TextArgument(call[0], "the affix");
  std::string_view text = SelfText(call);
  if (part.empty() || part.size() > text.size()) return call.self;
  const std::size_t rest = text.size() - part.size();
  if (prefix && text.substr(0, part.size()) == part) text = text.substr(part.size());
  if (!prefix && text.substr(rest) == part) text = text.substr(0, rest);
  return call.Result(std::string(text));
}

Value Join(const MethodCall& call) {
  const std::vector<Value> items = ToVector(call.meter, call[0]);
  std::string text;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (i > 0) text += SelfText(call);
    if (!items[i].is(Kind::kString) && !call.self.string().markup) {
      Fail(Fault::kType,
           fmt::format("sequence item {}: expected str instance, {} found", i, TypeName(items[i])));
    }
    call.meter.StepBytes(SelfText(call).size());
    if (call.self.string().markup) {
      text += EscapedText(call.meter, items[i]);
    } else {
      call.meter.StepBytes(items[i].text().size());
      text += items[i].text();
    }
    call.meter.CheckRoom(text.size());
  }
  return call.Result(std::move(text));
}

Value Replace(const MethodCall& call) {
  const std::string from = TextArgument(call[0], "replace() argument 1");
  const std::string to = Escaped(call, call[1], "replace() argument 2");
  const std::int64_t count = IntegerArgument(call[2], -1);
  return call.Result(ReplaceText(call.meter, SelfText(call), from, to, count));
}

constexpr Method kMethods[] = {
    {"strip", "chars", 0, Strip<kBoth>},
    {"lstrip", "chars", 0, Strip<kLeft>},
    {"rstrip", "chars", 0, Strip<kRight>},
    {"split", "sep maxsplit", 0, Split<false>},
    {"rsplit", "sep maxsplit", 0, Split<true>},
    {"splitlines", "keepends", 0, SplitLinesOf},
    {"partition", "sep", 1, Partition<false>},
    {"rpartition", "sep", 1, Partition<true>},
    {"removeprefix", "prefix", 1, RemoveAffix<true>},
    {"removesuffix", "suffix", 1, RemoveAffix<false>},
    {"join", "iterable", 1, Join},
    {"replace", "old new count", 2, Replace},
};

}  // namespace

std::span<const Method> StrCuttingMethods() { return kMethods; }

std::string ReplaceText(Meter& meter, std::string_view text, std::string_view from,
                        std::string_view to, std::int64_t count) {
  std::string out;
  std::size_t begin = 0;
  std::int64_t n = 0;
  const auto add = [&](std::string_view piece) {
    out += piece;
    meter.StepBytes(piece.size());
    meter.CheckRoom(out.size());
  };
  for (; count < 0 || n < count; ++n) {
    std::size_t at = FindText(text, from, begin);
    if (at == std::string_view::npos) break;
    if (from.empty()) {
      // Between all characters, and at both ends.
      if (n > 0) {
        if (begin >= text.size()) break;
        at = begin + ByteOffset(text.substr(begin), 1);
      }
    }
    add(text.substr(begin, at - begin));
    add(to);
    meter.StepBytes(from.size());
    begin = at + from.size();
  }
  add(text.substr(begin));
  return out;
}

}  // namespace larder::jinja
