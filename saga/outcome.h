// What a participant answers, and what is said to a saga that waits for more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "domain/deed.h"

namespace waybill::saga {

// What became of one call to a participant. Unknown is an outcome of its own: a timeout or a broken connection is
// neither success nor failure. Later is none yet: a Signal brings it. Again is none of the step's, either: what was
// called has had no effect and will have none, or the payload says how to make sure of that, and the step is called
// anew, at once, with what the payload says now; that is durable first. Attempts and time are counted from the start,
// so an action must not say it for ever.
struct Outcome {
  enum class Kind { kSucceeded, kRejected, kUnknown, kLater, kAgain };
  Kind kind = Kind::kUnknown;
  std::string reason;    // machine-readable, for what did not succeed
  std::string detail;    // for people; goes to the log
  bool give_up = false;  // kUnknown only: do not spend the rest of the retry budget
  // kUnknown only: the call was certainly never made, so this attempt leaves nothing in doubt.
  bool not_made = false;
  // kLater only: 1-128 visible ASCII characters by which the signal is told from others of this step, and the latest
  // time, finite. When nothing has been said by then, the attempt is unknown.
  std::string token = {};
  absl::Time until = absl::InfinitePast();

  static Outcome Succeeded(std::string detail = "") { return {Kind::kSucceeded, "", std::move(detail)}; }
  static Outcome Rejected(std::string reason, std::string detail = "") {
    return {Kind::kRejected, std::move(reason), std::move(detail)};
  }
  static Outcome Unknown(std::string reason, std::string detail = "", bool give_up = false) {
    return {Kind::kUnknown, std::move(reason), std::move(detail), give_up};
  }
  static Outcome NotMade(std::string reason, std::string detail = "") {
    return {Kind::kUnknown, std::move(reason), std::move(detail), false, true};
  }
  static Outcome Later(std::string token, absl::Time until, std::string detail = "") {
    return {Kind::kLater, "", std::move(detail), false, false, std::move(token), until};
  }
  static Outcome Again(std::string detail = "") { return {Kind::kAgain, "", std::move(detail)}; }
};

// What is kept of a text from outside, in bytes.
inline constexpr size_t kReasonBytesMax = 128;
inline constexpr size_t kDetailBytesMax = 4096;
// A participant's words, which nobody has looked at, as they can be logged and stored. A Later that cannot be waited
// for becomes unknown.
void CleanOutcome(Outcome& outcome);

// "succeeded", "rejected", "unknown", "later", "again".
std::string_view Name(Outcome::Kind kind);

// Which of a step's actions is called.
enum class Direction { kDo, kUndo, kClose };
// "do", "undo", "close".
std::string_view Name(Direction direction);

// What is said to a saga whose step answered Later, by whoever learns it: the webhook of a gateway, a person.
struct Signal {
  std::string step;
  Direction direction = Direction::kDo;
  std::string token;
  Outcome outcome;                 // succeeded, rejected or unknown; the latter two have a reason
  domain::DeedPtr deed = nullptr;  // goes to the audit when it is kept
  // Kept while the saga waits for this and nobody drives it, or not at all: where nothing but what is said decides, and
  // who is told that it was kept may rely on that. What is kept while somebody drives the saga may come too late for
  // what he does.
  bool only_awaited = false;
};

// What becomes of a signal.
enum class SignalResult {
  kWoken,     // it waited for this, and goes on
  kKept,      // it does not wait for this (yet), or is being driven: the signal waits for it
  kRepeated,  // the same was said before and has not been acted on yet; that counts
  kLate,      // it has ended; nothing is kept
  kUnawaited  // it was to be kept only where it is awaited, and it is not, or the saga is being driven; nothing is kept
};
inline constexpr size_t kSignalResults = 5;
std::string_view Name(SignalResult result);

// A signal that is kept, as it is handed to whoever drives its saga.
struct KeptSignal {
  int64_t id = 0;  // never of another signal
  Outcome outcome;
  std::string name;  // the WaitName that it answers
};

// What a saga waits for, as it is stored: "charge_payment/do/pi_1234". Steps have no '/' in their names.
std::string WaitName(std::string_view step, Direction direction, std::string_view token);

// The same, taken apart.
struct Wait {
  std::string_view step;
  Direction direction = Direction::kDo;
  std::string_view token;
};
std::optional<Wait> ParseWaitName(std::string_view name);  // nullopt: of a newer version

// What a saga waits for, when several steps of it wait at once: their names, with spaces between them.
std::string JoinWaitNames(std::span<const std::string> names);
std::vector<std::string_view> SplitWaitNames(std::string_view names);
bool IsAmong(std::string_view name, std::string_view names);

// Whether a text can be a token.
bool IsToken(std::string_view text);

}  // namespace waybill::saga
