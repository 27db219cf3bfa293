#include "bench/report.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "fmt/format.h"
#include "nlohmann/json.hpp"

namespace waybill::bench {
namespace {

// Three significant digits, thousands separated: 15,342 · 812 · 5.31 · 0.094.
std::string FormatNumber(double value) {
  const double magnitude = std::abs(value);
  if (magnitude < 100) {
    const int decimals = magnitude >= 10 ? 1 : magnitude >= 1 ? 2 : 3;
    return fmt::format("{:.{}f}", value, decimals);
  }
  std::string digits = fmt::format("{:.0f}", value);
  for (auto at = static_cast<int>(digits.size()) - 3; at > (value < 0 ? 1 : 0); at -= 3) digits.insert(at, ",");
  return digits;
}

std::string WithUnit(double value, std::string_view unit) {
  return unit.empty() ? FormatNumber(value) : fmt::format("{} {}", FormatNumber(value), unit);
}

}  // namespace

void AddLatency(const Histogram& latency, std::optional<Target> p50, std::optional<Target> p99,
                ScenarioResult& result) {
  const auto add = [&](const char* name, absl::Duration duration, std::optional<Target> target) {
    result.figures.push_back({name, absl::ToDoubleMilliseconds(duration), "ms", target});
  };
  add("p50", latency.Quantile(0.5), p50);
  add("p90", latency.Quantile(0.9), std::nullopt);
  add("p99", latency.Quantile(0.99), p99);
  add("p99.9", latency.Quantile(0.999), std::nullopt);
  add("max", latency.max(), std::nullopt);
}

void AddCompared(const std::string& name, double today, std::optional<double> earlier, const std::string& unit,
                 std::optional<Target> ratio, ScenarioResult& result) {
  result.figures.push_back({name, today, unit, std::nullopt});
  if (!earlier) return;
  result.figures.push_back({name + ", earlier", *earlier, unit, std::nullopt});
  if (*earlier > 0) {
    result.figures.push_back({name + ", ratio", today / *earlier, "", ratio});
  } else {
    result.failures.push_back(name + ": the earlier build has none to compare with");
  }
}

void AddComparedLatency(const Histogram& today, const Histogram* earlier, std::optional<Target> p50_ratio,
                        std::optional<Target> p99_ratio, ScenarioResult& result) {
  const auto compare = [&](const char* name, double fraction, std::optional<Target> ratio) {
    std::optional<double> other;
    if (earlier != nullptr) other = absl::ToDoubleMilliseconds(earlier->Quantile(fraction));
    AddCompared(name, absl::ToDoubleMilliseconds(today.Quantile(fraction)), other, "ms", ratio, result);
  };
  const auto add = [&](const char* name, absl::Duration duration) {
    result.figures.push_back({name, absl::ToDoubleMilliseconds(duration), "ms", std::nullopt});
  };
  compare("p50", 0.5, p50_ratio);
  add("p90", today.Quantile(0.9));
  compare("p99", 0.99, p99_ratio);
  add("p99.9", today.Quantile(0.999));
  add("max", today.max());
}

void AddBeside(const std::string& name, const Way& base, const Way& other, const std::string& unit,
               std::optional<Target> ratio, ScenarioResult& result) {
  for (const Way* way : {&base, &other}) {
    result.figures.push_back({fmt::format("{}, {}", name, way->name), way->value, unit, std::nullopt});
  }
  result.figures.push_back(
      {fmt::format("{}, {} times {}", name, other.name, base.name), other.value / base.value, "", ratio});
}

bool Report::BooksBalance() const {
  return std::all_of(scenarios.begin(), scenarios.end(),
                     [](const auto& scenario) { return scenario.failures.empty(); });
}

int Report::TargetsMissed() const {
  int missed = 0;
  for (const ScenarioResult& scenario : scenarios) {
    for (const Figure& figure : scenario.figures) missed += figure.target && !figure.target->Met(figure.value);
  }
  return missed;
}

std::string RenderTable(const Report& report) {
  struct Row {
    std::string scenario, figure, value, target, verdict;
  };
  std::vector<Row> rows = {{"scenario", "figure", "measured", "target", ""}};
  for (const ScenarioResult& scenario : report.scenarios) {
    std::string name = scenario.name;
    for (const Figure& figure : scenario.figures) {
      Row row{name, figure.name, WithUnit(figure.value, figure.unit), "", ""};
      if (figure.target) {
        row.target = fmt::format("{} {}", figure.target->bound == Target::Bound::kAtLeast ? ">=" : "<=",
                                 WithUnit(figure.target->value, figure.unit));
        row.verdict = figure.target->Met(figure.value) ? "reached" : "FALLS SHORT";
      }
      rows.push_back(std::move(row));
      name.clear();  // once a scenario
    }
  }
  size_t widths[4] = {};
  for (const Row& row : rows) {
    widths[0] = std::max(widths[0], row.scenario.size());
    widths[1] = std::max(widths[1], row.figure.size());
    widths[2] = std::max(widths[2], row.value.size());
    widths[3] = std::max(widths[3], row.target.size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line = fmt::format("{:<{}}  {:<{}}  {:>{}}  {:>{}}  {}", row.scenario, widths[0], row.figure, widths[1],
                                   row.value, widths[2], row.target, widths[3], row.verdict);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
    if (&row == &rows.front()) text += std::string(line.size() + 14, '-') + "\n";
  }
  text += "\n";
  for (const std::string& note : report.notes) text += note + "\n";
  for (const ScenarioResult& scenario : report.scenarios) {
    for (const std::string& failure : scenario.failures) text += fmt::format("FAILED {}: {}\n", scenario.name, failure);
  }
  if (!report.BooksBalance()) text += "THE BOOKS DO NOT BALANCE\n";
  const int missed = report.TargetsMissed();
  if (missed > 0) text += fmt::format("{} target(s) NOT reached\n", missed);
  if (report.BooksBalance() && missed == 0) text += "All is well: no failures, every target reached\n";
  return text;
}

std::string RenderJson(const Report& report) {
  using nlohmann::ordered_json;
  ordered_json scenarios = ordered_json::array();
  for (const ScenarioResult& scenario : report.scenarios) {
    ordered_json figures = ordered_json::array();
    for (const Figure& figure : scenario.figures) {
      ordered_json entry = {{"name", figure.name}, {"value", figure.value}, {"unit", figure.unit}};
      if (figure.target) {
        entry["target"] = {{"bound", figure.target->bound == Target::Bound::kAtLeast ? "at_least" : "at_most"},
                           {"value", figure.target->value},
                           {"met", figure.target->Met(figure.value)}};
      }
      figures.push_back(std::move(entry));
    }
    scenarios.push_back({{"name", scenario.name},
                         {"description", scenario.description},
                         {"failures", scenario.failures},
                         {"figures", std::move(figures)}});
  }
  const ordered_json document = {{"version", report.version},
                                 {"machine", report.machine},
                                 {"notes", report.notes},
                                 {"books_balance", report.BooksBalance()},
                                 {"targets_missed", report.TargetsMissed()},
                                 {"scenarios", std::move(scenarios)}};
  return document.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace waybill::bench
