#include "cloud/simulate/chart.h"

#include <algorithm>
#include <cstdio>

#include "base/text.h"
#include "cloud/simulate/scaler_settings.h"

namespace bundle::cloud {
namespace {

constexpr double kWidth = 760;
constexpr double kHeight = 240;
constexpr double kLeft = 40;
constexpr double kRight = 50;
constexpr double kTop = 28;
constexpr double kBottom = 30;

std::string number(double value, int digits = 1) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

/// From values to the picture's coordinates.
struct Scale {
  double end = 1;   // of time
  double high = 1;  // of the value

  double x(double time) const { return kLeft + (kWidth - kLeft - kRight) * time / end; }
  double y(double value) const {
    return kHeight - kBottom - (kHeight - kTop - kBottom) * value / high;
  }
};

template <typename Value>
std::string line(const SimulationResult& result, const Scale& scale, const char* style,
                 bool in_steps, Value value) {
  std::string points;
  double before = 0;
  for (const ReplicaSample& sample : result.series) {
    const double now = value(sample);
    if (in_steps && !points.empty()) {
      points += number(scale.x(sample.time)) + "," + number(scale.y(before)) + " ";
    }
    points += number(scale.x(sample.time)) + "," + number(scale.y(now)) + " ";
    before = now;
  }
  return "<polyline fill=\"none\" " + std::string(style) + " points=\"" + points + "\"/>\n";
}

std::string label(double x, double y, const char* anchor, const std::string& text) {
  return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" text-anchor=\"" + anchor + "\">" +
         escape_markup(text) + "</text>\n";
}

std::string title_of(const SimulationResult& result) {
  return result.policy + ": " + number(100 * result.attainment, 2) + " % within the objective, " +
         number(result.replica_hours) + " replica-hours, " + std::to_string(result.changes) +
         " changes";
}

std::string row(const std::vector<std::string>& cells, const char* kind) {
  std::string text = "<tr>";
  for (const std::string& cell : cells) {
    text += "<" + std::string(kind) + ">" + escape_markup(cell) + "</" + kind + ">";
  }
  return text + "</tr>\n";
}

}  // namespace

std::string svg_chart(const SimulationResult& result) {
  Scale replicas;
  Scale load;
  for (const ReplicaSample& sample : result.series) {
    replicas.end = load.end = std::max(replicas.end, sample.time);
    replicas.high = std::max<double>(replicas.high, sample.provisioned);
    load.high = std::max(load.high, sample.in_flight);
  }
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(kWidth, 0) +
                    " " + number(kHeight, 0) +
                    "\" font-family=\"sans-serif\" font-size=\"11\">\n"
                    "<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n";
  svg += label(kLeft, 16, "start", title_of(result));
  svg += line(result, load, "stroke=\"#c9c9c9\" stroke-width=\"1\"", false,
              [](const ReplicaSample& s) { return s.in_flight; });
  svg += line(result, replicas, "stroke=\"#d1782c\" stroke-width=\"1.5\" stroke-dasharray=\"4 3\"",
              true, [](const ReplicaSample& s) { return static_cast<double>(s.provisioned); });
  svg += line(result, replicas, "stroke=\"#1f6fb2\" stroke-width=\"2\"", true,
              [](const ReplicaSample& s) { return static_cast<double>(s.ready); });
  const double base = kHeight - kBottom;
  svg += label(kLeft - 6, replicas.y(replicas.high) + 4, "end", number(replicas.high, 0));
  svg += label(kLeft - 6, base, "end", "0");
  svg += label(kWidth - kRight + 6, load.y(load.high) + 4, "start", number(load.high, 0));
  svg += label(kLeft, base + 16, "start", "0 min");
  svg += label(kWidth - kRight, base + 16, "end", number(replicas.end / 60, 0) + " min");
  svg += label(kWidth / 2, base + 16, "middle",
               "blue: ready, dashed: ordered (left); grey: requests in flight (right)");
  return svg + "</svg>\n";
}

std::string html_report(const Recommendation& found, double price) {
  std::string html =
      "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>bundle simulate</title>\n"
      "<style>body{font:15px sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
      "table{border-collapse:collapse}td,th{padding:.2em .7em;border-bottom:1px solid #ddd;"
      "text-align:right}td:first-child,th:first-child{text-align:left}pre{background:#f4f4f4;"
      "padding:1em}</style>\n<h1>Simulated deployment</h1>\n<p>" +
      escape_markup(found.verdict) + "</p>\n";
  if (found.best) html += "<pre>" + escape_markup(scaler_settings(*found.best)) + "</pre>\n";
  html += "<table>" + row({"policy", "min", "max", "target", "within objective", "replica-hours",
                           "cost", "changes", "TTFT p99", "TPOT p99"},
                          "th");
  for (const SimulationResult& one : found.per_policy) {
    html += row({one.policy, std::to_string(one.settings.min_replicas),
                 std::to_string(one.settings.max_replicas),
                 one.policy == "static" ? "" : number(one.settings.target, 2),
                 number(100 * one.attainment, 2) + " %", number(one.replica_hours),
                 number(one.replica_hours * price, 2), std::to_string(one.changes),
                 number(one.ttft_p99, 2) + " s", number(1000 * one.tpot_p99) + " ms"},
                "td");
  }
  html += "</table>\n";
  for (const SimulationResult& one : found.per_policy) html += svg_chart(one);
  return html + "</html>\n";
}

}  // namespace bundle::cloud
