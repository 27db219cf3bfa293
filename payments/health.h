// Whether a gateway answers, learnt from what becomes of real calls.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "absl/time/time.h"
#include "runtime/clock.h"

namespace waybill::payments {

struct HealthOptions {
  int failures_in_a_row = 5;  // open an outage; so does half of the window
  // They have to be spread over so long: a connection that is made anew fails everything for a moment.
  absl::Duration failing_for = absl::Milliseconds(500);
  size_t window = 20;                                // of the newest calls
  int answers_in_a_row = 3;                          // close it; or words, if no call had a part in it
  absl::Duration explore_after = absl::Seconds(30);  // of an outage, one new order is let through; and so on
  size_t latencies = 64;                             // of the newest answers …
  absl::Duration latencies_for = absl::Minutes(1);   // … as long as they say anything
  absl::Duration word_for = absl::Seconds(15);       // what a gateway says of itself, since it was asked
};

// What a gateway says of itself.
struct Word {
  SteadyTime asked_at;
  bool failing = false;
  std::optional<absl::Duration> min_response;  // how long it takes at least
};

// Of one gateway. An outage opens sooner than it closes, so that a gateway that answers now and then does not come and
// go. Not thread-safe.
class Health {
 public:
  explicit Health(HealthOptions options) : options_(options) {}

  void Answered(SteadyTime now, absl::Duration latency);  // whatever it said: a decline is an answer
  void Failed(SteadyTime now);                            // it did not answer in time, or could not be reached
  // Once for each time it was asked. That it fails opens an outage, and keeps it open while that is news. That it is
  // well lets a new order through at once, one in an outage: a word that proves wrong counts no more until it says that
  // it fails. And it closes what nothing but its word has opened.
  void Says(SteadyTime now, const Word& word);

  bool out() const { return out_since_.has_value(); }
  std::optional<SteadyTime> out_since() const { return out_since_; }
  // Whether a new order may go there in spite of the outage; the next may only after an answer, or `explore_after`.
  bool MayExplore(SteadyTime now) const { return out() && now >= explore_at_ && !SaysFailing(now); }
  // Answers the number of the turn, from 1.
  int64_t Explores(SteadyTime now) {
    explore_at_ = now + options_.explore_after;
    return ++turn_;
  }
  // The order that has this turn asks nobody. Of an earlier turn, nothing is given back: another has it now.
  void NotExplored(SteadyTime now, int64_t turn) {
    if (out() && turn == turn_) explore_at_ = std::min(explore_at_, now);
  }
  // It said what counts neither as an answer nor as a failure: whoever explored it has been heard of.
  void Spoke(SteadyTime now) {
    if (out() && !SaysFailing(now)) explore_at_ = std::min(explore_at_, now);
  }

  // Of the newest answers; zero: there are none. They grow old, so that a gateway that was slow is asked again.
  absl::Duration MedianLatency(SteadyTime now) const;
  bool SaysFailing(SteadyTime now) const { return HasWord(now) && word_->failing; }
  // What it says; nothing: it says nothing of that, or that is no news.
  std::optional<absl::Duration> MinResponse(SteadyTime now) const {
    return HasWord(now) ? word_->min_response : std::nullopt;
  }

  int64_t answers() const { return answers_; }  // since the process began
  int64_t failures() const { return failures_; }

 private:
  void Note(SteadyTime now, bool answered);
  bool FailsTooOften(SteadyTime now) const;
  void ForgetLatencies();
  void Open(SteadyTime now);
  void Close();
  bool HasWord(SteadyTime now) const { return word_ && now - word_->asked_at <= options_.word_for; }

  const HealthOptions options_;
  struct Call {
    SteadyTime at;
    bool answered;
  };
  std::deque<Call> window_;
  int in_a_row_ = 0;      // of answers when positive, of failures when negative
  SteadyTime row_since_;  // when the first of these was
  std::optional<SteadyTime> out_since_;
  SteadyTime explore_at_;
  int64_t turn_ = 0;  // the newest
  struct Latency {
    SteadyTime at;
    absl::Duration latency;
  };
  std::deque<Latency> latencies_;
  mutable std::optional<absl::Duration> median_;  // of these, until the oldest that counts is too old
  mutable SteadyTime median_until_;
  std::optional<Word> word_;
  // In an outage:
  bool word_counts_ = false;  // none that it is well has been followed yet
  bool only_said_ = false;    // no call has failed
  int said_well_ = 0;         // in a row
  int64_t answers_ = 0;
  int64_t failures_ = 0;
};

}  // namespace waybill::payments
