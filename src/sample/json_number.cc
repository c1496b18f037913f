// A number's size is read digit by digit beside the bounds. While it agrees with a bound's digits
// so far it is "at" that bound; once it differs, that bound has no more say. Digit counts come
// first: only numbers as long as a bound can ever be at it.
#include "sample/json_number.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

namespace larder {

namespace {

constexpr std::size_t kMaxExponentDigits = 2;
constexpr std::size_t kMaxFractionDigits = 17;

/// Sizes from low to high; no sign.
struct SizeRange {
  Decimal low;
  bool low_open = false;
  std::optional<Decimal> high;
  bool high_open = false;
};

class SizeBuilder {
 public:
  SizeBuilder(GrammarBuilder* builder, SizeRange range, bool integer, NodeId to)
      : builder_(*builder), range_(std::move(range)), integer_(integer), to_(to) {
    if (integer_) RoundInwards();
    const std::size_t usual = integer_ ? kMaxIntegerDigits : kMaxDecimalDigits;
    const std::size_t most = std::max(usual, range_.low.digits.size() + 1);
    if (range_.high && range_.high->digits.size() > most) range_.high.reset();
    most_digits_ = range_.high ? range_.high->digits.size() : most;
  }

  void Add(NodeId from) {
    const std::size_t low_size = range_.low.digits.size();
    const std::size_t high_size = range_.high ? range_.high->digits.size() : 0;
    // Zero as a bound says nothing about numbers of one digit unless it is open.
    const bool zero = range_.low.IsZero() && !range_.low_open;
    if (!zero) AddLength(from, low_size, true, high_size == low_size);
    if (range_.high && (zero || high_size > low_size)) AddLength(from, high_size, false, true);
    const std::size_t shortest = zero ? 1 : low_size + 1;
    const std::size_t longest = range_.high ? high_size - 1 : most_digits_;
    if (shortest <= longest) AddFreeLengths(from, shortest, longest);
  }

 private:
  void RoundInwards() {
    if (!range_.low.fraction.empty()) range_.low_open = true;
    range_.low.fraction.clear();
    if (!range_.high) return;
    if (!range_.high->fraction.empty()) range_.high_open = false;
    range_.high->fraction.clear();
  }

  std::size_t FractionDigits(std::size_t n_digits) const {
    return integer_ || n_digits >= kMaxDecimalDigits ? 0 : kMaxDecimalDigits - n_digits;
  }

  // Numbers of n digits before the point that begin at the low or the high bound.
  void AddLength(NodeId from, std::size_t n_digits, bool at_low, bool at_high) {
    AddDigit(from, n_digits, 0, at_low, at_high);
  }

  void AddDigit(NodeId node, std::size_t n_digits, std::size_t position, bool at_low,
                bool at_high) {
    for (char digit = position == 0 && n_digits > 1 ? '1' : '0'; digit <= '9'; ++digit) {
      const char low = at_low ? range_.low.digits[position] : '0';
      const char high = at_high ? range_.high->digits[position] : '9';
      if (digit < low || digit > high) continue;
      const auto byte = static_cast<std::uint8_t>(digit);
      builder_.AddBytes(
          node, byte, byte,
          AfterDigit(n_digits, position + 1, at_low && digit == low, at_high && digit == high));
    }
  }

  NodeId AfterDigit(std::size_t n_digits, std::size_t position, bool at_low, bool at_high) {
    const auto [made, is_new] =
        digit_nodes_.try_emplace({n_digits, position, at_low, at_high}, NodeId{0});
    if (!is_new) return made->second;
    const NodeId node = made->second = builder_.AddNode();
    if (position < n_digits) {
      AddDigit(node, n_digits, position, at_low, at_high);
    } else {
      AddFractionState(node, n_digits, 0, at_low, at_high);
    }
    return node;
  }

  // May the number end here, `position` digits behind the point?
  bool MayEnd(std::size_t position, bool at_low, bool at_high) const {
    const bool low_kept = !at_low || (position >= range_.low.fraction.size() && !range_.low_open);
    const bool high_kept = !at_high || position < range_.high->fraction.size() || !range_.high_open;
    return low_kept && high_kept;
  }

  void AddFractionState(NodeId node, std::size_t n_digits, std::size_t position, bool at_low,
                        bool at_high) {
    if (!at_low && !at_high) {
      builder_.AddNothing(node, FreeFraction(FractionDigits(n_digits) - position, position == 0));
      return;
    }
    if (MayEnd(position, at_low, at_high)) builder_.AddNothing(node, to_);
    if (position >= FractionDigits(n_digits)) return;
    const NodeId digits = position == 0 ? builder_.Then(node, ".") : node;
    for (char digit = '0'; digit <= '9'; ++digit) {
      const char low = at_low ? DigitOf(range_.low, position) : '0';
      const char high = at_high ? DigitOf(*range_.high, position) : '9';
      if (digit < low || digit > high) continue;
      const auto byte = static_cast<std::uint8_t>(digit);
      const bool still_low = at_low && digit == low;
      const bool still_high = at_high && digit == high;
      const auto [made, is_new] =
          fraction_nodes_.try_emplace({n_digits, position + 1, still_low, still_high}, NodeId{0});
      if (is_new) made->second = builder_.AddNode();
      const NodeId next = made->second;
      builder_.AddBytes(digits, byte, byte, next);
      if (is_new) AddFractionState(next, n_digits, position + 1, still_low, still_high);
    }
  }

  static char DigitOf(const Decimal& bound, std::size_t position) {
    return position < bound.fraction.size() ? bound.fraction[position] : '0';
  }

  // The end, or up to n_left more digits; behind the point, or before it if `needs_point`.
  NodeId FreeFraction(std::size_t n_left, bool needs_point) {
    const auto [made, is_new] = free_fractions_.try_emplace({n_left, needs_point}, NodeId{0});
    if (!is_new) return made->second;
    const NodeId node = made->second = builder_.AddNode();
    builder_.AddNothing(node, to_);
    if (n_left == 0) return node;
    const NodeId digits = needs_point ? builder_.Then(node, ".") : node;
    builder_.AddBytes(digits, '0', '9', FreeFraction(n_left - 1, false));
    return node;
  }

  void AddFreeLengths(NodeId from, std::size_t shortest, std::size_t longest) {
    if (shortest == 1) {
      builder_.AddBytes(from, '0', '0', FreeFraction(FractionDigits(1), true));
    }
    NodeId node = builder_.AddNode();
    builder_.AddBytes(from, '1', '9', node);
    for (std::size_t n_digits = 1;; ++n_digits) {
      if (n_digits >= shortest) {
        builder_.AddNothing(node, FreeFraction(FractionDigits(n_digits), true));
      }
      if (n_digits == longest) break;
      const NodeId next = builder_.AddNode();
      builder_.AddBytes(node, '0', '9', next);
      node = next;
    }
  }

  GrammarBuilder& builder_;
  SizeRange range_;
  bool integer_;
  NodeId to_;
  std::size_t most_digits_ = 0;
  std::map<std::tuple<std::size_t, std::size_t, bool, bool>, NodeId> digit_nodes_;
  std::map<std::tuple<std::size_t, std::size_t, bool, bool>, NodeId> fraction_nodes_;
  std::map<std::pair<std::size_t, bool>, NodeId> free_fractions_;
};

Decimal SizeOf(Decimal number) {
  number.negative = false;
  return number;
}

}  // namespace

void AddNumber(GrammarBuilder* builder, NodeId from, const NumberRange& range, bool integer,
               NodeId to) {
  if (range.low && range.high) {
    const int order = Compare(*range.low, *range.high);
    if (order > 0 || (order == 0 && (range.low_open || range.high_open))) return;
  }
  if (!range.high || !range.high->negative) {
    SizeRange sizes;
    if (range.low && !range.low->negative) {
      sizes.low = *range.low;
      sizes.low_open = range.low_open;
    }
    sizes.high = range.high;
    sizes.high_open = range.high_open;
    SizeBuilder(builder, sizes, integer, to).Add(from);
  }
  if (!range.low || range.low->negative) {
    SizeRange sizes;
    sizes.low_open = true;  // no minus zero
    if (range.high && range.high->negative) {
      sizes.low = SizeOf(*range.high);
      sizes.low_open = range.high_open;
    }
    if (range.low) sizes.high = SizeOf(*range.low);
    sizes.high_open = range.low_open;
    SizeBuilder(builder, sizes, integer, to).Add(builder->Then(from, "-"));
  }
}

void AddAnyNumber(GrammarBuilder* builder, NodeId from, NodeId to) {
  GrammarBuilder& b = *builder;
  const NodeId size = b.AddNode();
  b.AddNothing(from, size);
  b.AddText(from, "-", size);
  const NodeId whole = b.AddNode();
  b.AddBytes(size, '0', '0', whole);
  NodeId node = b.AddNode();
  b.AddBytes(size, '1', '9', node);
  for (std::size_t i = 1; i < kMaxIntegerDigits; ++i) {
    b.AddNothing(node, whole);
    const NodeId next = b.AddNode();
    b.AddBytes(node, '0', '9', next);
    node = next;
  }
  b.AddNothing(node, whole);
  const NodeId fraction = b.AddNode();
  b.AddNothing(whole, fraction);
  node = b.Then(whole, ".");
  for (std::size_t i = 0; i < kMaxFractionDigits; ++i) {
    const NodeId next = b.AddNode();
    b.AddBytes(node, '0', '9', next);
    b.AddNothing(next, fraction);
    node = next;
  }
  b.AddNothing(fraction, to);
  const NodeId sign = b.AddNode();
  b.AddText(fraction, "e", sign);
  b.AddText(fraction, "E", sign);
  node = b.AddNode();
  b.AddNothing(sign, node);
  b.AddText(sign, "+", node);
  b.AddText(sign, "-", node);
  for (std::size_t i = 0; i < kMaxExponentDigits; ++i) {
    const NodeId next = b.AddNode();
    b.AddBytes(node, '0', '9', next);
    b.AddNothing(next, to);
    node = next;
  }
}

}  // namespace larder
