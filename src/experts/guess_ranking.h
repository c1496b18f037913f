// GuessRanking: which guessed experts to read first, learned from which guesses came true. A guess
// belongs to a class by its place in the router's order and by the heat of its expert; what was
// right before in either sense is likelier to be right again. Real routers say much by their order,
// generated routing says nothing by it; the shares tell. Pure arithmetic.
#pragma once

#include <array>
#include <cstddef>

namespace larder {

class GuessRanking {
 public:
  GuessRanking();

  /// Of a guess in place `place` (0: the router is surest) of an expert with that heat.
  static int ClassOf(std::size_t place, float heat);

  /// Share of guesses of a class that come true, between 0 and 1.
  double ShareRight(int guess_class) const {
    return share_right_[static_cast<std::size_t>(guess_class)];
  }
  /// What became of a guess, read ahead or not.
  void Learn(int guess_class, bool was_right);

 private:
  static constexpr std::size_t kPlaces = 16;  // and all after
  static constexpr std::size_t kHeats = 4;

  std::array<double, kPlaces * kHeats> share_right_;
};

}  // namespace larder
