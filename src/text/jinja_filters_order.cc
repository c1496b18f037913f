// Filters that compare items: sort, dictsort, groupby, unique, min, max.
#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "text/jinja_filters.h"

namespace larder::jinja {
namespace {

// Stable, by keys; with `reverse` equal items keep their order too, as in Python.
std::vector<Value> SortedByKeys(Meter& meter, const std::vector<Value>& items,
                                const std::vector<Value>& keys, bool reverse) {
  meter.Reserve(items.size() * (sizeof(Value) + sizeof(std::size_t)));
  std::vector<std::size_t> order(items.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return reverse ? Less(meter, keys[b], keys[a]) : Less(meter, keys[a], keys[b]);
  });
  std::vector<Value> sorted;
  sorted.reserve(items.size());
  for (const std::size_t at : order) sorted.push_back(items[at]);
  return sorted;
}

// "age,name": several keys, compared as a list.
Getter MultiGetter(const FilterCall& call, const Value& attribute, bool ignore_case) {
  std::vector<Getter> getters;
  if (attribute.is(Kind::kString)) {
    std::string_view rest = attribute.text();
    while (true) {
      const std::size_t comma = rest.find(',');
      const Value part = call.interpreter.Text(std::string(rest.substr(0, comma)));
      getters.push_back(AttributeGetter(call.interpreter, part, ignore_case));
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  } else {
    getters.push_back(AttributeGetter(call.interpreter, attribute, ignore_case));
  }
  Meter& meter = call.meter;
  return [getters, &meter](const Value& item) {
    std::vector<Value> keys;
    for (const Getter& getter : getters) keys.push_back(getter(item));
    return MakeList(meter, std::move(keys));
  };
}

std::vector<Value> Keys(const std::vector<Value>& items, const Getter& getter) {
  std::vector<Value> keys;
  keys.reserve(items.size());
  for (const Value& item : items) keys.push_back(getter(item));
  return keys;
}

Value Sort(const FilterCall& call) {
  const std::vector<Value> items = ToVector(call.meter, call.value);
  const Getter getter = MultiGetter(call, call[2], !FlagArgument(call[1], false));
  return MakeList(call.meter, SortedByKeys(call.meter, items, Keys(items, getter),
                                           FlagArgument(call[0], false)));
}

Value DictSort(const FilterCall& call) {
  const std::string by = call[1].IsMissing()         ? "key"
                         : call[1].is(Kind::kString) ? call[1].text()
                                                     : "";
  if (by != "key" && by != "value") {
    Fail(Fault::kRuntime, "dictsort sorts by either \"key\" or \"value\"");
  }
  if (call.value.is(Kind::kUndefined)) FailUndefined(call.value);
  if (!call.value.is(Kind::kDict)) {
    Fail(Fault::kType, fmt::format("'{}' object has no attribute 'items'", TypeName(call.value)));
  }
  const Getter getter = AttributeGetter(call.interpreter, Value::Int(by == "key" ? 0 : 1),
                                        !FlagArgument(call[0], false));
  const Value view(Kind::kView,
                   std::make_shared<View>(&call.meter, call.value, View::Part::kItems));
  const std::vector<Value> items = ToVector(call.meter, view);
  return MakeList(call.meter, SortedByKeys(call.meter, items, Keys(items, getter),
                                           FlagArgument(call[2], false)));
}

Value GroupBy(const FilterCall& call) {
  const bool ignore_case = !FlagArgument(call[2], false);
  const Getter getter = AttributeGetter(call.interpreter, call[0], ignore_case, call[1]);
  const Getter shown = AttributeGetter(call.interpreter, call[0], false, call[1]);
  std::vector<Value> items = ToVector(call.meter, call.value);
  items = SortedByKeys(call.meter, items, Keys(items, getter), false);
  std::vector<Value> groups;
  for (std::size_t at = 0; at < items.size();) {
    const Value key = getter(items[at]);
    std::vector<Value> members;
    while (at < items.size() && Equal(call.meter, getter(items[at]), key)) {
      members.push_back(items[at++]);
    }
    // A key that is not equal to itself makes a group of its own.
    if (members.empty()) members.push_back(items[at++]);
    const Value grouper = ignore_case ? shown(members[0]) : key;
    std::vector<Value> pair = {grouper, MakeList(call.meter, std::move(members))};
    groups.push_back(
        Value(Kind::kTuple, std::make_shared<Sequence>(&call.meter, std::move(pair), true)));
  }
  return MakeList(call.meter, std::move(groups));
}

Value Unique(const FilterCall& call) {
  const Getter getter = AttributeGetter(call.interpreter, call[1], !FlagArgument(call[0], false));
  auto seen = std::make_shared<Dict>(&call.meter);
  auto source = std::make_shared<Iteration>(call.meter, call.value);
  Meter& meter = call.meter;
  return MakeIterator(meter, "generator", call.value.depth(), [=, &meter](Value* item) {
    while (source->Next(item)) {
      const Value key = getter(*item);
      if (seen->Find(meter, key) != nullptr) continue;
      seen->Set(meter, key, Value::None());
      return true;
    }
    return false;
  });
}

template <bool largest>
Value Extreme(const FilterCall& call) {
  const Getter getter = AttributeGetter(call.interpreter, call[1], !FlagArgument(call[0], false));
  Iteration iteration(call.meter, call.value);
  Value best;
  if (!iteration.Next(&best)) {
    return call.interpreter.Undefined("no aggregated item, the sequence is empty");
  }
  Value best_key = getter(best), item;
  while (iteration.Next(&item)) {
    const Value key = getter(item);
    const bool better = largest ? Less(call.meter, best_key, key) : Less(call.meter, key, best_key);
    if (!better) continue;
    best = item;
    best_key = key;
  }
  return best;
}

constexpr Filter kFilters[] = {
    {"sort", "reverse case_sensitive attribute", 0, Sort},
    {"dictsort", "case_sensitive by reverse", 0, DictSort},
    {"groupby", "attribute default case_sensitive", 1, GroupBy},
    {"unique", "case_sensitive attribute", 0, Unique},
    {"min", "case_sensitive attribute", 0, Extreme<false>},
    {"max", "case_sensitive attribute", 0, Extreme<true>},
};

}  // namespace

std::span<const Filter> OrderFilters() { return kFilters; }

}  // namespace larder::jinja
