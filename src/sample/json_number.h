// Numbers within bounds as an automaton over their digits.
#pragma once

#include "sample/decimal.h"
#include "sample/grammar.h"

namespace larder {

/// Digits that a number may have. Beyond 15 a double no longer tells every two decimals apart, so
/// that a bound would be kept in print and broken by whoever reads it.
constexpr std::size_t kMaxIntegerDigits = 18;
constexpr std::size_t kMaxDecimalDigits = 15;

/// From `from` to `to` a JSON number of `range`, without an exponent; an integer is one without a
/// fraction. Integers have at most kMaxIntegerDigits digits unless a bound has more; other numbers
/// kMaxDecimalDigits in all. Nothing is added when there is no such number.
void AddNumber(GrammarBuilder* builder, NodeId from, const NumberRange& range, bool integer,
               NodeId to);

/// Any JSON number: 18 digits, a fraction of 17, an exponent of two digits, no more.
void AddAnyNumber(GrammarBuilder* builder, NodeId from, NodeId to);

}  // namespace larder
