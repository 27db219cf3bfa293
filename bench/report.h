// What a run of the bench found, as a table for people and as JSON for machines.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/histogram.h"

namespace waybill::bench {

struct Target {
  enum class Bound { kAtLeast, kAtMost };
  Bound bound = Bound::kAtLeast;
  double value = 0;

  bool Met(double measured) const { return bound == Bound::kAtLeast ? measured >= value : measured <= value; }
};

inline Target AtLeast(double value) { return {Target::Bound::kAtLeast, value}; }
inline Target AtMost(double value) { return {Target::Bound::kAtMost, value}; }

struct Figure {
  std::string name;  // "orders/s", "p99": unique in its scenario
  double value = 0;
  std::string unit;  // "1/s", "ms", "s", "MB", ""
  std::optional<Target> target;
};

struct ScenarioResult {
  std::string name;
  std::string description;
  std::vector<Figure> figures;
  std::vector<std::string> failures;  // what is wrong with the books or the answers; empty: the figures can be trusted
};

// p50, p90, p99, p99.9 and max, in milliseconds.
void AddLatency(const Histogram& latency, std::optional<Target> p50, std::optional<Target> p99, ScenarioResult& result);

// `name` for today's build; where there is an earlier one's figure, too, "NAME, earlier" and "NAME, ratio", how many
// times that today's is. The target is of the ratio: without an earlier build there is none.
void AddCompared(const std::string& name, double today, std::optional<double> earlier, const std::string& unit,
                 std::optional<Target> ratio, ScenarioResult& result);
// AddLatency, with p50 and p99 compared. `earlier`: nullptr without an earlier build.
void AddComparedLatency(const Histogram& today, const Histogram* earlier, std::optional<Target> p50_ratio,
                        std::optional<Target> p99_ratio, ScenarioResult& result);

// What one of two ways that were measured in turns came to.
struct Way {
  std::string name;  // "open"
  double value = 0;
};
// "NAME, BASE" and "NAME, OTHER", and "NAME, OTHER times BASE", of which the target is.
void AddBeside(const std::string& name, const Way& base, const Way& other, const std::string& unit,
               std::optional<Target> ratio, ScenarioResult& result);

struct Report {
  std::string version;  // of Waybill
  std::string machine;  // "2 x AMD EPYC, 23 GiB, Linux 6.1"
  std::vector<ScenarioResult> scenarios;
  std::vector<std::string> notes;  // sentences on how to read the figures

  bool BooksBalance() const;  // no scenario has failures
  int TargetsMissed() const;
};

// One line a figure: scenario, figure, value, target and whether it is reached; then notes, failures and a verdict.
std::string RenderTable(const Report& report);
// {"version", "machine", "notes", "books_balance", "targets_missed", "scenarios": [{"name", "description", "failures",
//   "figures": [{"name", "value", "unit", "target": {"bound": "at_least"|"at_most", "value", "met"}}]}]}
std::string RenderJson(const Report& report);

}  // namespace waybill::bench
