// The picture of a plan: decode rate against memory, one line per choice of weights.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "cli/plan_report.h"
#include "text/utf8.h"

namespace larder {

namespace {

constexpr double kWidth = 760;
constexpr double kHeight = 430;
constexpr double kLeft = 60;
constexpr double kRight = 210;  // room for names
constexpr double kTop = 46;
constexpr double kBottom = 50;
constexpr double kGiB = 1073741824.0;
// Told apart also by those who see fewer colours, and on dark ground.
constexpr std::array<const char*, 7> kColours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                 "#e69f00", "#56b4e9", "#7f7f7f"};

// As XML text: U+FFFD for bytes that are not UTF-8 and for the characters that XML has no place
// for.
std::string Escaped(const std::string& text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const Utf8Char c = DecodeUtf8(text, at);
    at += c.n_bytes;
    if (c.code_point == '<') {
      out += "&lt;";
    } else if (c.code_point == '>') {
      out += "&gt;";
    } else if (c.code_point == '&') {
      out += "&amp;";
    } else if (c.code_point == kInvalidCodePoint || (c.code_point | 1) == 0xffff) {
      AppendUtf8(0xfffd, out);
    } else if (c.code_point >= 0x20) {
      AppendUtf8(c.code_point, out);
    }
  }
  return out;
}

// 1, 2 or 5 times a power of ten, so that about `n` of them make `whole`.
double TickStep(double whole, double n) {
  const double raw = std::max(whole / n, 1e-9);
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (raw <= factor * power) return factor * power;
  }
  return 10 * power;
}

struct Axes {
  double most_memory = 1;  // GiB
  double most_rate = 1;

  double X(double memory) const { return kLeft + memory / most_memory * (kWidth - kLeft - kRight); }
  double Y(double rate) const {
    return kHeight - kBottom - rate / most_rate * (kHeight - kTop - kBottom);
  }
};

std::string Grid(const Axes& axes) {
  std::string svg;
  const double x_step = TickStep(axes.most_memory, 7);
  for (double at = 0; at <= axes.most_memory * 1.0001; at += x_step) {
    svg += fmt::format(
        "<line x1='{0:.1f}' y1='{1:.1f}' x2='{0:.1f}' y2='{2:.1f}' stroke='#ddd'/>"
        "<text x='{0:.1f}' y='{3:.1f}' text-anchor='middle'>{4:g}</text>\n",
        axes.X(at), axes.Y(0), axes.Y(axes.most_rate), axes.Y(0) + 18, at);
  }
  const double y_step = TickStep(axes.most_rate, 6);
  for (double at = 0; at <= axes.most_rate * 1.0001; at += y_step) {
    svg += fmt::format(
        "<line x1='{0:.1f}' y1='{2:.1f}' x2='{1:.1f}' y2='{2:.1f}' stroke='#ddd'/>"
        "<text x='{3:.1f}' y='{4:.1f}' text-anchor='end'>{5:g}</text>\n",
        axes.X(0), axes.X(axes.most_memory), axes.Y(at), axes.X(0) - 6, axes.Y(at) + 4, at);
  }
  return svg;
}

std::string Curve(const Axes& axes, const PlanTypes& types, const char* colour, double name_y) {
  std::string points;
  std::string band;
  std::string back;
  for (const PlanRow& row : types.rows) {
    if (!row.problem.empty()) continue;
    const double x = axes.X(static_cast<double>(row.budget_bytes) / kGiB);
    points += fmt::format("{:.1f},{:.1f} ", x, axes.Y(row.decode.expected));
    band += fmt::format("{:.1f},{:.1f} ", x, axes.Y(row.decode.high));
    back = fmt::format("{:.1f},{:.1f} ", x, axes.Y(row.decode.low)) + back;
  }
  return fmt::format(
      "<polygon points='{0}{1}' fill='{2}' fill-opacity='0.12'/>\n"
      "<polyline points='{3}' fill='none' stroke='{2}' stroke-width='2'/>\n"
      "<text x='{4:.0f}' y='{5:.0f}' fill='{2}'>{6}</text>\n",
      band, back, colour, points, kWidth - kRight + 10, name_y, Escaped(types.name));
}

}  // namespace

std::string ToSvg(const PlanReport& report, const std::vector<PlanTypes>& curves) {
  Axes axes;
  for (const PlanTypes& types : curves) {
    for (const PlanRow& row : types.rows) {
      if (!row.problem.empty()) continue;
      axes.most_memory = std::max(axes.most_memory, static_cast<double>(row.budget_bytes) / kGiB);
      axes.most_rate = std::max(axes.most_rate, row.decode.high);
    }
  }
  std::string svg = fmt::format(
      "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {0} {1}' width='{0}' height='{1}' "
      "font-family='sans-serif' font-size='12'>\n<rect width='{0}' height='{1}' fill='white'/>\n"
      "<text x='{2}' y='20' font-size='14'>{3}</text>\n"
      "<text x='{2}' y='37'>decode, predicted tokens/s by memory budget in GiB; {4}</text>\n",
      kWidth, kHeight, kLeft, Escaped(report.model), Escaped(report.routing));
  svg += Grid(axes);
  double name_y = kTop + 14;
  for (std::size_t i = 0; i < curves.size(); ++i) {
    svg += Curve(axes, curves[i], kColours[i % kColours.size()], name_y);
    name_y += 18;
  }
  return svg + fmt::format("<text x='{}' y='{}'>memory budget, GiB</text>\n</svg>\n", kLeft,
                           kHeight - 12);
}

}  // namespace larder
