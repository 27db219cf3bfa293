// Ctrl-C for commands that end in order.
#pragma once

#include <array>
#include <csignal>
#include <string>

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

// While it lives, Ctrl-C, SIGTERM or a terminal that goes away still end the process, which says this line first, on
// standard error: what a person has to know of a call whose outcome he will not see. Empty: nothing. One at a time.
class LastWords {
 public:
  explicit LastWords(std::string words);
  ~LastWords();
  LastWords(const LastWords&) = delete;
  LastWords& operator=(const LastWords&) = delete;

 private:
  std::array<struct sigaction, 3> old_ = {};
};

}  // namespace waybill::cli
