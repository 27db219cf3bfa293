#include "bench/process_stats.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "fmt/format.h"

namespace waybill::bench {
namespace {

namespace fs = std::filesystem;

struct Stat {
  pid_t parent = 0;
  int64_t ticks = 0;  // own and waited-for children's, user and system
};

std::optional<std::string> Read(const fs::path& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// proc(5): "pid (comm) state ppid … utime stime cutime cstime …", the times being fields 14 to 17. The name in
// parentheses may itself hold spaces and parentheses.
std::optional<Stat> ReadStat(const fs::path& process) {
  const std::optional<std::string> text = Read(process / "stat");
  if (!text) return std::nullopt;
  const size_t name_end = text->rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(text->substr(name_end + 1));
  std::string skipped;
  Stat stat;
  fields >> skipped >> stat.parent;
  for (int field = 5; field < 14; ++field) fields >> skipped;
  for (int field = 14; field <= 17; ++field) {
    int64_t ticks = 0;
    fields >> ticks;
    stat.ticks += ticks;
  }
  if (!fields) return std::nullopt;
  return stat;
}

absl::Status NoSuchProcess(pid_t pid) { return absl::NotFoundError(fmt::format("no process {}", pid)); }

}  // namespace

absl::StatusOr<absl::Duration> ProcessStats::TreeCpu(pid_t root) const {
  std::map<pid_t, Stat> all;
  std::multimap<pid_t, pid_t> children;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(proc_, error)) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), pid).ptr != name.data() + name.size()) continue;
    if (const std::optional<Stat> stat = ReadStat(entry.path())) {
      all.emplace(pid, *stat);
      children.emplace(stat->parent, pid);
    }
  }
  if (!all.contains(root)) return NoSuchProcess(root);

  int64_t ticks = 0;
  std::vector<pid_t> open = {root};
  while (!open.empty()) {
    const pid_t pid = open.back();
    open.pop_back();
    ticks += all[pid].ticks;
    const auto [first, last] = children.equal_range(pid);
    for (auto child = first; child != last; ++child) open.push_back(child->second);
  }
  return absl::Seconds(1) * ticks / sysconf(_SC_CLK_TCK);
}

// proc(5): "cpu user nice system idle iowait irq softirq steal …", summed over processors.
absl::StatusOr<absl::Duration> ProcessStats::MachineCpu() const {
  std::ifstream file(proc_ / "stat");
  std::string label;
  int64_t ticks[7] = {};
  file >> label;
  for (int64_t& field : ticks) file >> field;
  if (!file || label != "cpu") return absl::NotFoundError("no statistics of the machine's processors");
  const auto& [user, nice, system, idle, iowait, irq, softirq] = ticks;
  return absl::Seconds(1) * (user + nice + system + irq + softirq) / sysconf(_SC_CLK_TCK);
}

absl::StatusOr<Memory> ProcessStats::ResidentMemory(pid_t pid) const {
  const std::optional<std::string> text = Read(proc_ / std::to_string(pid) / "status");
  if (!text) return NoSuchProcess(pid);
  Memory memory;
  std::istringstream lines(*text);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string name;
    int64_t kib = 0;
    if (!(fields >> name >> kib)) continue;
    if (name == "VmRSS:") memory.resident_bytes = kib * 1024;
    if (name == "VmHWM:") memory.resident_bytes_peak = kib * 1024;
  }
  return memory;
}

absl::StatusOr<pid_t> ProcessStats::Parent(pid_t pid) const {
  const std::optional<Stat> stat = ReadStat(proc_ / std::to_string(pid));
  if (!stat) return NoSuchProcess(pid);
  return stat->parent;
}

std::string DescribeMachine() {
  utsname system{};
  uname(&system);
  std::string model = "unknown CPU";
  std::ifstream cpus("/proc/cpuinfo");
  for (std::string line; std::getline(cpus, line);) {
    if (line.starts_with("model name")) model = line.substr(line.find(':') + 2);
  }
  std::ifstream memory("/proc/meminfo");
  std::string label;
  int64_t kib = 0;
  memory >> label >> kib;
  return fmt::format("{} x {}, {:.0f} GiB, {} {}", std::thread::hardware_concurrency(), model,
                     static_cast<double>(kib) / (1 << 20), system.sysname, system.release);
}

}  // namespace waybill::bench
