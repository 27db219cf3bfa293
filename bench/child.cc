#include "bench/child.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/time/clock.h"
#include "fmt/format.h"

namespace waybill::bench {
namespace {

constexpr absl::Duration kPollInterval = absl::Milliseconds(2);
constexpr size_t kLogTailBytes = 2'000;

}  // namespace

absl::StatusOr<std::unique_ptr<Child>> Child::Start(const std::filesystem::path& binary,
                                                    const std::vector<std::string>& args,
                                                    const std::filesystem::path& log) {
  const std::string path = binary.string();
  std::vector<char*> argv = {const_cast<char*>(path.c_str())};
  for (const std::string& arg : args) argv.push_back(const_cast<char*>(arg.c_str()));
  argv.push_back(nullptr);
  const int output = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (output < 0) return absl::InternalError(fmt::format("{}: {}", log.string(), std::strerror(errno)));

  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) {  // only async-signal-safe calls from here on
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    execv(path.c_str(), argv.data());
    _exit(127);
  }
  close(output);
  if (pid < 0) return absl::InternalError(fmt::format("fork: {}", std::strerror(errno)));
  return std::unique_ptr<Child>(new Child(binary.filename(), pid, log));
}

Child::~Child() { Kill(); }

bool Child::Running() {
  if (!reaped_ && waitpid(pid_, &wait_status_, WNOHANG) == pid_) reaped_ = true;
  return !reaped_;
}

void Child::Kill() {
  if (!Running()) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, &wait_status_, 0);
  reaped_ = true;
}

absl::Status Child::Stop(absl::Duration timeout) {
  if (Running()) kill(pid_, SIGTERM);
  return Join(timeout);
}

absl::Status Child::Join(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (Running()) {
    if (absl::Now() > deadline) {
      Kill();
      return absl::DeadlineExceededError(
          fmt::format("{} did not end within {}\n{}", name_, absl::FormatDuration(timeout), LogTail()));
    }
    absl::SleepFor(kPollInterval);
  }
  if (WIFEXITED(wait_status_) && WEXITSTATUS(wait_status_) == 0) return absl::OkStatus();
  return absl::InternalError(fmt::format("{} ended with wait status {}\n{}", name_, wait_status_, LogTail()));
}

absl::StatusOr<std::string> Child::WaitForFile(const std::filesystem::path& file, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    const bool running = Running();
    std::ifstream stream(file);
    std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
    if (text.ends_with('\n')) return text;
    if (!running) return absl::InternalError(fmt::format("{} ended early\n{}", name_, LogTail()));
    if (absl::Now() > deadline) {
      return absl::DeadlineExceededError(
          fmt::format("{} was not ready within {}\n{}", name_, absl::FormatDuration(timeout), LogTail()));
    }
    absl::SleepFor(kPollInterval);
  }
}

std::string Child::LogTail() const {
  std::ifstream stream(log_);
  const std::string text((std::istreambuf_iterator<char>(stream)), std::istreambuf_iterator<char>());
  return text.size() > kLogTailBytes ? text.substr(text.size() - kLogTailBytes) : text;
}

std::optional<int> PortIn(const std::string& ports, const std::string& name) {
  const std::string begins = name + "=";
  const size_t at = ports.find(begins);
  if (at == std::string::npos) return std::nullopt;
  return std::stoi(ports.substr(at + begins.size()));
}

}  // namespace waybill::bench
