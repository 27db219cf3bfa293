#include "tests/support/process.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <map>
#include <string_view>
#include <system_error>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "tests/support/eventually.h"

namespace waybill::testing {
namespace {

// Whether each is in one of these states, as proc(5) has them.
bool AllThreadsAre(pid_t pid, std::string_view states) {
  std::error_code error;
  bool all = true;
  for (const auto& thread : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid), error)) {
    std::ifstream file(thread.path() / "stat");
    const std::string stat{std::istreambuf_iterator<char>(file), {}};
    const size_t name_end = stat.rfind(')');      // a name may have any character
    if (name_end == std::string::npos) continue;  // it has ended
    all &= states.find(stat.at(name_end + 2)) != std::string_view::npos;
  }
  return all;
}

// condition_variable adds the time now to what it gets, and overflows when that is endless.
std::chrono::nanoseconds ForWaiting(absl::Duration timeout) {
  return absl::ToChronoNanoseconds(std::min(timeout, absl::Hours(24)));
}

// Everything the child needs, laid out before fork: between fork and exec nothing may allocate or take a lock.
struct Launch {
  std::string binary;
  std::vector<std::string> arg_texts;
  std::vector<std::string> env_texts;
  std::vector<char*> argv;
  std::vector<char*> envp;
  std::string working_directory;
  bool switch_user = false;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  int death_signal = SIGKILL;
  int output_fd = -1;
  int error_fd = -1;  // close-on-exec: carries errno when exec, or what comes before it, fails
  pid_t parent = -1;
};

[[noreturn]] void RunChild(const Launch& launch) {
  const auto fail = [&] {
    const int error = errno;
    [[maybe_unused]] const ssize_t written = write(launch.error_fd, &error, sizeof error);
    _exit(127);
  };
  // The signal mask and ignored signals of the test process are not the child's business.
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  const int null = open("/dev/null", O_RDONLY);
  if (null < 0 || dup2(null, 0) < 0 || dup2(launch.output_fd, 1) < 0 || dup2(launch.output_fd, 2) < 0) fail();
  // Listening sockets and pipes of the test must not live on in the child. error_fd closes by itself at exec.
  if (launch.error_fd > 3) close_range(3, launch.error_fd - 1, 0);
  close_range(launch.error_fd + 1, ~0U, 0);
  if (launch.switch_user) {
    if (setgroups(launch.groups.size(), launch.groups.data()) < 0 || setgid(launch.gid) < 0 || setuid(launch.uid) < 0) {
      fail();
    }
  }
  // After setuid, which clears it.
  if (prctl(PR_SET_PDEATHSIG, launch.death_signal) < 0) fail();
  if (getppid() != launch.parent) _exit(127);
  if (!launch.working_directory.empty() && chdir(launch.working_directory.c_str()) < 0) fail();
  execvpe(launch.binary.c_str(), launch.argv.data(), launch.envp.data());
  fail();
  _exit(127);
}

absl::Status ResolveUser(const std::string& user, Launch& launch) {
  const passwd* entry = getpwnam(user.c_str());
  if (entry == nullptr) return absl::NotFoundError(fmt::format("no user {}", user));
  launch.switch_user = true;
  launch.uid = entry->pw_uid;
  launch.gid = entry->pw_gid;
  int count = 64;
  launch.groups.resize(count);
  if (getgrouplist(user.c_str(), entry->pw_gid, launch.groups.data(), &count) < 0) {
    return absl::InternalError(fmt::format("user {} is in more than {} groups", user, launch.groups.size()));
  }
  launch.groups.resize(count);
  return absl::OkStatus();
}

absl::StatusOr<Launch> Prepare(std::string binary, const ProcessOptions& options) {
  Launch launch;
  launch.binary = std::move(binary);
  launch.working_directory = options.working_directory;
  launch.death_signal = options.death_signal;
  launch.parent = getpid();
  if (!options.user.empty()) {
    if (absl::Status status = ResolveUser(options.user, launch); !status.ok()) return status;
  }
  launch.arg_texts.push_back(launch.binary);
  launch.arg_texts.insert(launch.arg_texts.end(), options.args.begin(), options.args.end());
  std::map<std::string, std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    const size_t equals = text.find('=');
    if (equals != std::string::npos) environment[text.substr(0, equals)] = text.substr(equals + 1);
  }
  for (const auto& [name, value] : options.env) environment[name] = value;
  for (const auto& [name, value] : environment) launch.env_texts.push_back(name + "=" + value);
  return launch;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Process>> Process::Start(std::string binary, ProcessOptions options) {
  absl::StatusOr<Launch> launch = Prepare(std::move(binary), options);
  if (!launch.ok()) return launch.status();
  // Pointers into the strings, taken once they no longer move.
  for (std::string& text : launch->arg_texts) launch->argv.push_back(text.data());
  launch->argv.push_back(nullptr);
  for (std::string& text : launch->env_texts) launch->envp.push_back(text.data());
  launch->envp.push_back(nullptr);

  std::array<int, 2> output;
  std::array<int, 2> error;
  if (pipe2(output.data(), O_CLOEXEC) < 0) return absl::InternalError(fmt::format("pipe: {}", std::strerror(errno)));
  if (pipe2(error.data(), O_CLOEXEC) < 0) {
    const int code = errno;
    close(output[0]);
    close(output[1]);
    return absl::InternalError(fmt::format("pipe: {}", std::strerror(code)));
  }
  launch->output_fd = output[1];
  launch->error_fd = error[1];

  auto process = std::unique_ptr<Process>(new Process);
  std::promise<int> started;  // 0 or errno
  std::future<int> start_error = started.get_future();
  // PR_SET_PDEATHSIG fires when the *thread* that forked ends. The pump thread forks, because it lives as long as the
  // child does: a test may start processes from threads that come and go.
  process->pump_ =
      std::thread([process = process.get(), &launch = *launch, started = std::move(started), output, error]() mutable {
        const pid_t pid = fork();
        if (pid == 0) RunChild(launch);
        const int fork_error = errno;
        close(output[1]);
        close(error[1]);
        int code = pid < 0 ? fork_error : 0;
        if (pid > 0) {
          int child_error = 0;
          ssize_t got;
          do {
            got = read(error[0], &child_error, sizeof child_error);
          } while (got < 0 && errno == EINTR);
          if (got == sizeof child_error) code = child_error;
        }
        close(error[0]);
        const int pid_fd = pid > 0 ? static_cast<int>(syscall(SYS_pidfd_open, pid, 0)) : -1;
        if (pid_fd < 0) {
          if (code == 0) code = errno;
          if (pid > 0) {
            kill(pid, SIGKILL);
            waitpid(pid, nullptr, 0);
          }
          close(output[0]);
          {
            const std::lock_guard lock(process->mutex_);
            process->exit_code_ = 127;
            process->output_complete_ = true;
          }
          started.set_value(code);
          return;
        }
        process->pid_ = pid;
        started.set_value(code);
        process->Pump(output[0], pid_fd);
      });
  const int code = start_error.get();
  if (code != 0) {
    const std::string message = fmt::format("starting {}: {}", launch->binary, std::strerror(code));
    return code == ENOENT ? absl::NotFoundError(message) : absl::InternalError(message);
  }
  return process;
}

// Drains the child's output and reaps it, so that a silent reader never blocks it and no zombie is left.
void Process::Pump(int output_fd, int pid_fd) {
  fcntl(output_fd, F_SETFL, O_NONBLOCK);
  bool open = true;
  const auto drain = [&] {
    std::array<char, 16384> chunk;
    for (;;) {
      const ssize_t got = read(output_fd, chunk.data(), chunk.size());
      if (got > 0) {
        const std::lock_guard lock(mutex_);
        output_.append(chunk.data(), got);
        changed_.notify_all();
      } else if (got < 0 && errno == EINTR) {
        continue;
      } else {
        if (got == 0) open = false;
        return;
      }
    }
  };
  for (;;) {
    std::array<pollfd, 2> fds{{{pid_fd, POLLIN, 0}, {open ? output_fd : -1, POLLIN, 0}}};
    if (poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) break;
    if (fds[1].revents != 0) drain();
    if (fds[0].revents != 0) break;
  }
  drain();  // what it wrote last; a grandchild that holds the pipe open is not waited for
  {
    const std::lock_guard lock(mutex_);
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    output_complete_ = true;
    changed_.notify_all();
  }
  close(output_fd);
  close(pid_fd);
}

Process::~Process() {
  Signal(SIGKILL);
  if (pump_.joinable()) pump_.join();
}

bool Process::Running() const {
  const std::lock_guard lock(mutex_);
  return !exit_code_.has_value();
}

bool Process::Signal(int signal) {
  {
    const std::lock_guard lock(mutex_);
    if (exit_code_.has_value() || kill(pid_, signal) != 0) return false;
  }
  // The signal is on its way when kill returns: until each of its threads has met it, a process goes on.
  return signal != SIGSTOP || Eventually(absl::Seconds(20), [&] { return AllThreadsAre(pid_, "Tt"); });
}

std::optional<int> Process::Wait(absl::Duration timeout) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, ForWaiting(timeout), [&] { return exit_code_.has_value(); });
  return exit_code_;
}

std::optional<std::string> Process::WaitForLine(std::string_view text, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  size_t line_start = 0;
  std::unique_lock lock(mutex_);
  for (;;) {
    for (size_t end; (end = output_.find('\n', line_start)) != std::string::npos; line_start = end + 1) {
      const std::string_view line = std::string_view(output_).substr(line_start, end - line_start);
      if (line.find(text) != std::string_view::npos) return std::string(line);
    }
    if (output_complete_) return std::nullopt;
    const size_t seen = output_.size();
    const absl::Duration left = deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return std::nullopt;
    changed_.wait_for(lock, ForWaiting(left), [&] { return output_.size() > seen || output_complete_; });
  }
}

std::string Process::Output() const {
  const std::lock_guard lock(mutex_);
  return output_;
}

}  // namespace waybill::testing
