// Ctrl-C for commands that end in order.
#pragma once

#include <csignal>

#include "absl/time/time.h"

namespace waybill::cli {

// While it lives, the first Ctrl-C (or SIGTERM) is only noted; the second one ends the process. One at a time.
class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  static bool Seen();                           // since the newest began
  static void SleepUnlessSeen(absl::Duration);  // ends soon after one is seen

 private:
  struct sigaction old_int_ = {};
  struct sigaction old_term_ = {};
};

}  // namespace waybill::cli
