#include "cli/interrupts.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/time/clock.h"

namespace waybill::cli {
namespace {

// How often a sleep looks up.
constexpr absl::Duration kLookUp = absl::Milliseconds(50);

std::atomic<bool> interrupt_seen{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");

constexpr int kEnding[] = {SIGINT, SIGTERM, SIGHUP};
// Changed only while no handler of ours is set.
std::string& LastLine() {
  static auto& line = *new std::string;
  return line;
}

void SayAndEnd(int signal) {  // whose handler was reset by SA_RESETHAND
  const std::string& line = LastLine();
  const ssize_t said = write(STDERR_FILENO, line.data(), line.size());
  static_cast<void>(said);
  raise(signal);
}

}  // namespace

Interrupts::Interrupts() {
  interrupt_seen = false;
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupt_seen = true; };
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_RESTART;
  sigaction(SIGINT, &action, &old_int_);
  sigaction(SIGTERM, &action, &old_term_);
}

Interrupts::~Interrupts() {
  sigaction(SIGINT, &old_int_, nullptr);
  sigaction(SIGTERM, &old_term_, nullptr);
}

bool Interrupts::Seen() { return interrupt_seen; }

void Interrupts::SleepUnlessSeen(absl::Duration pause) {
  for (; pause > absl::ZeroDuration() && !Seen(); pause -= kLookUp) absl::SleepFor(std::min(pause, kLookUp));
}

LastWords::LastWords(std::string words) {
  if (words.empty()) return;
  LastLine() = std::move(words) + '\n';
  struct sigaction action = {};
  action.sa_handler = SayAndEnd;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  for (size_t i = 0; i < old_.size(); ++i) {
    sigaction(kEnding[i], &action, &old_[i]);
    if (old_[i].sa_handler == SIG_IGN) sigaction(kEnding[i], &old_[i], nullptr);  // by nohup, say
  }
}

LastWords::~LastWords() {
  if (LastLine().empty()) return;
  for (size_t i = 0; i < old_.size(); ++i) sigaction(kEnding[i], &old_[i], nullptr);
  LastLine().clear();
}

}  // namespace waybill::cli
