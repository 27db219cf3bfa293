// Metrics over prometheus-cpp: made once at start, held by reference on the hot path, read at scrape.
//
//   prometheus::Counter& settled = metrics.AddCounter("waybill_sagas_settled_total", "Sagas that ended.", {{"outcome",
//   "confirmed"}}); settled.Increment();
//
// Names are the field's: waybill_… for ours, base units, _total for counters; no user or order ids in labels.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "prometheus/counter.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/labels.h"
#include "prometheus/metric_family.h"
#include "prometheus/registry.h"
#include "runtime/build.h"

namespace waybill {

// Upper bounds in seconds, 0.5 ms to 30 s.
const std::vector<double>& LatencyBuckets();
// Upper bounds in items, 1 to 4096.
const std::vector<double>& SizeBuckets();

// Thread-safe. A name is used for one type and one help text; a name that Prometheus does not allow, or that is taken
// by another type, or a help text with a backslash or a line break, is a bug and throws std::invalid_argument.
class Metrics {
 public:
  Metrics() = default;
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // The same name and labels give the same object. References live as long as this.
  prometheus::Counter& AddCounter(const std::string& name, const std::string& help,
                                  const prometheus::Labels& labels = {});
  prometheus::Gauge& AddGauge(const std::string& name, const std::string& help, const prometheus::Labels& labels = {});
  prometheus::Histogram& AddHistogram(const std::string& name, const std::string& help,
                                      const std::vector<double>& buckets, const prometheus::Labels& labels = {});

  struct Sample {
    prometheus::Labels labels;
    double value = 0;
  };
  // Values computed at scrape time, on the thread that scrapes; they must not block. What the callback reads outlives
  // every Collect: the side port stops before it does.
  void AddCallbackGauge(const std::string& name, const std::string& help, std::function<double()> value,
                        const prometheus::Labels& labels = {});
  void AddCallbackGauges(const std::string& name, const std::string& help,
                         std::function<std::vector<Sample>()> samples);
  void AddCallbackCounter(const std::string& name, const std::string& help, std::function<double()> value,
                          const prometheus::Labels& labels = {});

  // Families sorted by name.
  std::vector<prometheus::MetricFamily> Collect() const;
  std::string ToText() const;  // Prometheus text format 0.0.4
  // {"<name>": {"type": "counter|gauge|histogram", "help": …, "samples": [{"labels": {…}, "value": …} or
  //   {"labels": {…}, "count": …, "sum": …, "buckets": [{"le": …, "count": …}, …, {"le": "+Inf", "count": …}]}]}}
  // Bucket counts are cumulative; NaN and infinities are strings.
  std::string ToJson() const;

 private:
  struct Callback {
    std::string name;
    std::string help;
    prometheus::MetricType type;
    std::function<std::vector<Sample>()> samples;
  };
  void AddCallback(Callback callback);

  mutable std::mutex mutex_;  // over adding and collecting; not taken by increments
  prometheus::Registry registry_;
  std::set<std::string> own_names_;
  std::vector<Callback> callbacks_;
};

// process_resident_memory_bytes, process_cpu_seconds_total, process_open_fds, process_max_fds, process_threads and
// process_start_time_seconds, as Prometheus' own client libraries name them.
void AddProcessMetrics(Metrics& metrics);

// waybill_build_info{service, version, commit, compiler} = 1.
void AddBuildInfo(Metrics& metrics, const std::string& service, const Build& build);

}  // namespace waybill
