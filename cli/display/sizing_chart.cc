#include "cli/display/sizing_chart.h"

#include <algorithm>
#include <cmath>
#include <fmt/format.h>

#include "base/text.h"

namespace bundle::cli {
namespace {

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
constexpr double kWidth = 960;
constexpr double kLabels = 270;  // left of the bars
constexpr double kBar = 18;      // height of one
constexpr double kBarStep = 30;
constexpr double kTop = 60;
constexpr double kScatter = 320;  // height of the second picture
constexpr std::size_t kMostBars = 10;

std::string text_at(double x, double y, const std::string& text, const char* anchor = "start") {
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\">{}</text>\n", x, y, anchor,
                     escape_markup(text));
}

std::string box(double x, double y, double width, double height, const char* fill,
                const std::string& title) {
  return fmt::format(
      "<rect x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" height=\"{:.1f}\" fill=\"{}\">"
      "<title>{}</title></rect>\n",
      x, y, std::max(0.0, width), height, fill, escape_markup(title));
}

struct Piece {
  const char* name;
  const char* fill;
  double gib;
};

std::vector<Piece> pieces_of(const sizing::RankMemory& memory) {
  const auto gib = [](std::uint64_t bytes) { return static_cast<double>(bytes) / kGiB; };
  return {{"weights", "#4269d0", gib(memory.weights)},
          {"activations", "#efb118", gib(memory.activations)},
          {"graphs, context, exchange", "#9c6b4e",
           gib(memory.graphs + memory.context + memory.exchange)},
          {"cache", "#3ca951", static_cast<double>(memory.left) / kGiB},
          {"kept free", "#dddddd", gib(memory.usable - memory.budget)}};
}

std::vector<const sizing::Plan*> cheapest(const SizeRun& run) {
  std::vector<const sizing::Plan*> plans;
  for (const sizing::Plan& plan : run.answer.plans) {
    const bool again = std::any_of(plans.begin(), plans.end(), [&](const sizing::Plan* other) {
      return other->gpu == plan.gpu;
    });
    if (!again && plans.size() < kMostBars) plans.push_back(&plan);
  }
  return plans;
}

std::string legend(const sizing::RankMemory& memory) {
  std::string out;
  double x = kLabels;
  for (const Piece& piece : pieces_of(memory)) {
    out += box(x, kTop - 28, 12, 12, piece.fill, piece.name);
    out += text_at(x + 17, kTop - 18, piece.name);
    x += 40 + 7.0 * static_cast<double>(std::string(piece.name).size());
  }
  return out;
}

std::string bars(const std::vector<const sizing::Plan*>& plans) {
  double most = 1;
  for (const sizing::Plan* plan : plans) {
    most = std::max(most, static_cast<double>(plan->memory.usable) / kGiB);
  }
  const double scale = (kWidth - kLabels - 90) / most;
  std::string out = legend(plans.front()->memory);
  double y = kTop;
  for (const sizing::Plan* plan : plans) {
    out += text_at(kLabels - 8, y + 13, sizing::plan_text(*plan->gpu, plan->layout, plan->copies),
                   "end");
    double x = kLabels;
    for (const Piece& piece : pieces_of(plan->memory)) {
      const double width = piece.gib * scale;
      out +=
          box(x, y, width, kBar, piece.fill, fmt::format("{} {:.1f} GiB", piece.name, piece.gib));
      x += width;
    }
    out += text_at(x + 6, y + 13,
                   fmt::format("{:.0f} GiB", static_cast<double>(plan->memory.usable) / kGiB));
    y += kBarStep;
  }
  return out;
}

/// Both axes are logarithmic.
class Axis {
 public:
  Axis(double low, double high, double from, double to) : from_(from), to_(to) {
    low_ = std::log(low / 1.15);
    high_ = std::log(high * 1.15);
  }
  double at(double value) const {
    return from_ + (to_ - from_) * (std::log(value) - low_) / (high_ - low_);
  }
  /// 1, 2 and 5 times the powers of ten within.
  std::vector<double> ticks() const {
    std::vector<double> list;
    for (int power = -3; power < 9; ++power) {
      for (const double step : {1.0, 2.0, 5.0}) {
        const double value = step * std::pow(10, power);
        if (std::log(value) >= low_ && std::log(value) <= high_) list.push_back(value);
      }
    }
    return list;
  }

 private:
  double low_, high_, from_, to_;
};

std::string grid(const Axis& x, const Axis& y, double top, double bottom) {
  std::string out;
  for (const double tick : x.ticks()) {
    out += fmt::format(
        "<line x1=\"{0:.1f}\" y1=\"{1:.1f}\" x2=\"{0:.1f}\" y2=\"{2:.1f}\" stroke=\"#eee\"/>\n",
        x.at(tick), top, bottom);
    out += text_at(x.at(tick), bottom + 16, fmt::format("{:g}", tick), "middle");
  }
  for (const double tick : y.ticks()) {
    out += fmt::format(
        "<line x1=\"{1:.1f}\" y1=\"{0:.1f}\" x2=\"{2:.1f}\" y2=\"{0:.1f}\" stroke=\"#eee\"/>\n",
        y.at(tick), 60.0, kWidth - 20);
    out += text_at(54, y.at(tick) + 4, fmt::format("{:g}", tick), "end");
  }
  return out;
}

std::string scatter(const SizeRun& run, double top) {
  double low_price = 1e12, high_price = 0, low_time = 1e12, high_time = 0;
  for (const sizing::Plan& plan : run.answer.plans) {
    if (!plan.usd_per_hour || *plan.usd_per_hour <= 0) continue;
    low_price = std::min(low_price, *plan.usd_per_hour);
    high_price = std::max(high_price, *plan.usd_per_hour);
    low_time = std::min(low_time, plan.served.tpot * 1e3);
    high_time = std::max(high_time, plan.served.tpot * 1e3);
  }
  if (high_price <= 0) return text_at(60, top + 20, "No plan has a known price.");
  const double bottom = top + kScatter;
  const Axis x(low_price, high_price, 60, kWidth - 20);
  const Axis y(low_time, high_time, bottom, top);
  std::string out = text_at(60, top - 12, "ms a token against USD an hour; the front in red");
  out += grid(x, y, top, bottom);
  for (const sizing::Plan& plan : run.answer.plans) {
    if (!plan.usd_per_hour || *plan.usd_per_hour <= 0) continue;
    out += fmt::format(
        "<circle cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"4\" fill=\"#4269d0\" fill-opacity=\"0.5\">"
        "<title>{}</title></circle>\n",
        x.at(*plan.usd_per_hour), y.at(plan.served.tpot * 1e3),
        escape_markup(fmt::format("{}: {:.1f} ms, {:.2f} USD/h",
                                  sizing::plan_text(*plan.gpu, plan.layout, plan.copies),
                                  plan.served.tpot * 1e3, *plan.usd_per_hour)));
  }
  std::string points;
  for (const sizing::Plan* plan : sizing::pareto_front(run.answer.plans)) {
    if (*plan->usd_per_hour <= 0) continue;
    const double px = x.at(*plan->usd_per_hour);
    const double py = y.at(plan->served.tpot * 1e3);
    points += fmt::format("{:.1f},{:.1f} ", px, py);
    out += text_at(px + 7, py - 5, fmt::format("{}x {}", plan->gpus(), plan->gpu->name));
  }
  return out + "<polyline points=\"" + points + "\" fill=\"none\" stroke=\"#ff725c\"/>\n";
}

}  // namespace

std::string sizing_chart(const SizeRun& run) {
  const auto plans = cheapest(run);
  const double split =
      kTop + kBarStep * static_cast<double>(std::max<std::size_t>(1, plans.size()));
  const double height = split + 60 + kScatter + 40;
  std::string out = fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0:.0f} {1:.0f}\" width=\"{0:.0f}\" "
      "height=\"{1:.0f}\" font-family=\"sans-serif\" font-size=\"12\">\n"
      "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
      kWidth, height);
  out += text_at(20, 20, run.models.front().shape.name + ": memory of a GPU, cheapest plans");
  if (plans.empty()) {
    out += text_at(20, kTop, "Nothing meets the objectives.");
  } else {
    out += bars(plans) + scatter(run, split + 50);
  }
  return out + "</svg>\n";
}

}  // namespace bundle::cli
