#include "runtime/metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "nlohmann/json.hpp"
#include "prometheus/check_names.h"
#include "prometheus/text_serializer.h"

namespace waybill {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

std::string_view TypeName(MetricType type) {
  switch (type) {
    case MetricType::Counter:
      return "counter";
    case MetricType::Gauge:
      return "gauge";
    case MetricType::Histogram:
      return "histogram";
    case MetricType::Summary:
      return "summary";
    case MetricType::Untyped:
      return "untyped";
  }
  return "untyped";
}

nlohmann::json Number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return value;
}

nlohmann::json SampleJson(MetricType type, const ClientMetric& metric) {
  nlohmann::json sample;
  nlohmann::json& labels = sample["labels"] = nlohmann::json::object();
  for (const ClientMetric::Label& label : metric.label) labels[label.name] = label.value;
  if (type == MetricType::Histogram) {
    sample["count"] = metric.histogram.sample_count;
    sample["sum"] = Number(metric.histogram.sample_sum);
    nlohmann::json& buckets = sample["buckets"] = nlohmann::json::array();
    for (const ClientMetric::Bucket& bucket : metric.histogram.bucket) {
      buckets.push_back({{"le", Number(bucket.upper_bound)}, {"count", bucket.cumulative_count}});
    }
  } else {
    sample["value"] = Number(type == MetricType::Counter ? metric.counter.value : metric.gauge.value);
  }
  return sample;
}

double OpenFds() {
  DIR* dir = opendir("/proc/self/fd");
  if (dir == nullptr) return std::numeric_limits<double>::quiet_NaN();
  int count = 0;
  while (readdir(dir) != nullptr) ++count;
  closedir(dir);
  return count - 3;  // ".", ".." and the directory itself
}

// Field `number` of /proc/self/stat, counted from 1 as proc(5) does; the second field may hold spaces.
double StatField(int number) {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return std::numeric_limits<double>::quiet_NaN();
  std::istringstream rest(line.substr(name_end + 1));
  std::string field;
  for (int i = 3; i <= number; ++i) rest >> field;
  return std::strtod(field.c_str(), nullptr);
}

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double MaxFds() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur == RLIM_INFINITY ? std::numeric_limits<double>::infinity()
                                         : static_cast<double>(limit.rlim_cur);
}

double StartTimeSeconds() {
  // By the clocks, and not from /proc/stat, which a hardened unit does not show.
  const auto now = [](clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
  };
  const double boot = now(CLOCK_REALTIME) - now(CLOCK_BOOTTIME);
  return boot + StatField(22) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

// The exposition format wants both escaped in a help text, which prometheus-cpp's serializer does not do.
void CheckHelp(const std::string& name, const std::string& help) {
  if (help.find_first_of("\\\n") != std::string::npos) {
    throw std::invalid_argument("a backslash or a line break in the help text of " + name);
  }
}

}  // namespace

const std::vector<double>& LatencyBuckets() {
  static const std::vector<double> kBounds = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                              0.25,   0.5,   1,      2.5,   5,    10,    30};
  return kBounds;
}

const std::vector<double>& SizeBuckets() {
  static const std::vector<double> kBounds = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096};
  return kBounds;
}

prometheus::Counter& Metrics::AddCounter(const std::string& name, const std::string& help,
                                         const prometheus::Labels& labels) {
  CheckHelp(name, help);
  std::lock_guard lock(mutex_);
  if (own_names_.count(name) != 0) throw std::invalid_argument("metric name is taken by a callback: " + name);
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry_).Add(labels);
}

prometheus::Gauge& Metrics::AddGauge(const std::string& name, const std::string& help,
                                     const prometheus::Labels& labels) {
  CheckHelp(name, help);
  std::lock_guard lock(mutex_);
  if (own_names_.count(name) != 0) throw std::invalid_argument("metric name is taken by a callback: " + name);
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry_).Add(labels);
}

prometheus::Histogram& Metrics::AddHistogram(const std::string& name, const std::string& help,
                                             const std::vector<double>& buckets, const prometheus::Labels& labels) {
  CheckHelp(name, help);
  std::lock_guard lock(mutex_);
  if (own_names_.count(name) != 0) throw std::invalid_argument("metric name is taken by a callback: " + name);
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry_).Add(labels, buckets);
}

void Metrics::AddCallbackGauge(const std::string& name, const std::string& help, std::function<double()> value,
                               const prometheus::Labels& labels) {
  AddCallback({name, help, MetricType::Gauge, [value = std::move(value), labels] {
                 return std::vector<Sample>{{labels, value()}};
               }});
}

void Metrics::AddCallbackGauges(const std::string& name, const std::string& help,
                                std::function<std::vector<Sample>()> samples) {
  AddCallback({name, help, MetricType::Gauge, std::move(samples)});
}

void Metrics::AddCallbackCounter(const std::string& name, const std::string& help, std::function<double()> value,
                                 const prometheus::Labels& labels) {
  AddCallback({name, help, MetricType::Counter, [value = std::move(value), labels] {
                 return std::vector<Sample>{{labels, value()}};
               }});
}

void Metrics::AddCallback(Callback callback) {
  if (!prometheus::CheckMetricName(callback.name)) throw std::invalid_argument("bad metric name: " + callback.name);
  CheckHelp(callback.name, callback.help);
  std::lock_guard lock(mutex_);
  for (const Callback& other : callbacks_) {
    if (other.name == callback.name && other.type != callback.type) {
      throw std::invalid_argument("metric name is taken by another type: " + callback.name);
    }
  }
  for (const MetricFamily& family : registry_.Collect()) {
    if (family.name == callback.name) throw std::invalid_argument("metric name is taken: " + callback.name);
  }
  own_names_.insert(callback.name);
  callbacks_.push_back(std::move(callback));
}

std::vector<MetricFamily> Metrics::Collect() const {
  std::lock_guard lock(mutex_);
  std::vector<MetricFamily> families = registry_.Collect();
  auto by_name = [](const MetricFamily& a, const MetricFamily& b) { return a.name < b.name; };
  std::sort(families.begin(), families.end(), by_name);
  std::vector<MetricFamily> computed;
  for (const Callback& callback : callbacks_) {
    auto family = std::find_if(computed.begin(), computed.end(),
                               [&](const MetricFamily& other) { return other.name == callback.name; });
    if (family == computed.end()) {
      MetricFamily fresh;
      fresh.name = callback.name;
      fresh.help = callback.help;
      fresh.type = callback.type;
      family = computed.insert(computed.end(), std::move(fresh));
    }
    for (const Sample& sample : callback.samples()) {
      ClientMetric metric;
      for (const auto& [label, value] : sample.labels) metric.label.push_back({label, value});
      metric.counter.value = sample.value;  // the serializers look at the one their type names
      metric.gauge.value = sample.value;
      family->metric.push_back(std::move(metric));
    }
  }
  std::sort(computed.begin(), computed.end(), by_name);
  std::vector<MetricFamily> all;
  all.reserve(families.size() + computed.size());
  std::merge(std::make_move_iterator(families.begin()), std::make_move_iterator(families.end()),
             std::make_move_iterator(computed.begin()), std::make_move_iterator(computed.end()),
             std::back_inserter(all), by_name);
  return all;
}

std::string Metrics::ToText() const { return prometheus::TextSerializer().Serialize(Collect()); }

std::string Metrics::ToJson() const {
  nlohmann::json all = nlohmann::json::object();
  for (const MetricFamily& family : Collect()) {
    nlohmann::json samples = nlohmann::json::array();
    for (const ClientMetric& metric : family.metric) samples.push_back(SampleJson(family.type, metric));
    all[family.name] = {{"type", TypeName(family.type)}, {"help", family.help}, {"samples", std::move(samples)}};
  }
  return all.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void AddProcessMetrics(Metrics& metrics) {
  metrics.AddCallbackGauge("process_resident_memory_bytes", "Resident memory size in bytes.",
                           [] { return StatField(24) * static_cast<double>(sysconf(_SC_PAGESIZE)); });
  metrics.AddCallbackCounter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.",
                             CpuSeconds);
  metrics.AddCallbackGauge("process_open_fds", "Number of open file descriptors.", OpenFds);
  metrics.AddCallbackGauge("process_max_fds", "Maximum number of open file descriptors.", MaxFds);
  metrics.AddCallbackGauge("process_threads", "Number of threads in the process.", [] { return StatField(20); });
  metrics.AddGauge("process_start_time_seconds", "Start time of the process since the Unix epoch in seconds.")
      .Set(StartTimeSeconds());
}

void AddBuildInfo(Metrics& metrics, const std::string& service, const Build& build) {
  metrics
      .AddGauge("waybill_build_info", "Always 1; what was built, in the labels.",
                {{"service", service}, {"version", build.version}, {"commit", build.commit}, {"compiler", __VERSION__}})
      .Set(1);
}

}  // namespace waybill
