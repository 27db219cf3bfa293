// What a journal keeps of one saga: a header of fixed shape, the payload of the saga's kind, and an append-only log.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "domain/deed.h"
#include "runtime/ids.h"
#include "saga/outcome.h"
#include "saga/state.h"

namespace waybill::saga {

// The failure reason of a saga that was turned back on request; all other reasons come from participants.
inline constexpr std::string_view kCancelledReason = "CANCELLED";

// What turned a saga back. Empty reason: nothing did.
struct Failure {
  std::string reason;  // machine-readable
  std::string detail;  // for people
};

// 1-40 of a-z, 0-9 and '_': stores make names of it.
inline bool IsKindName(std::string_view kind) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789_";
  return !kind.empty() && kind.size() <= 40 && kind.find_first_not_of(kAllowed) == std::string_view::npos;
}

// Where one of several steps stands that are done at the same time.
struct Branch {
  enum class State : uint8_t {
    kOpen,     // to be called, or called again
    kWaiting,  // it answered Later
    kDone,
    kNothing,  // nothing of it is there to be undone
  };
  std::string step;  // its name
  State state = State::kOpen;
  int attempt = 1;
  // Of one that waits.
  std::string token = {};
  absl::Time until = absl::InfinitePast();
};
inline constexpr Branch::State kBranchStates[] = {Branch::State::kOpen, Branch::State::kWaiting, Branch::State::kDone,
                                                  Branch::State::kNothing};
// "open", "waiting", "done", "nothing": persisted.
std::string_view Name(Branch::State state);

struct Header {
  Uuid id;
  std::string kind;  // which definition drives it
  int version = 1;   // of that definition, as of its beginning: it stays with it
  State state = State::kRunning;
  int step = 0;     // index into the definition: the step being done, undone or closed; of several the first not done
  int attempt = 1;  // of that step, in that direction; from 1
  // Of the group that `step` is in, if it has several steps, while they are being done or undone. Empty: all of them
  // are open, or, while undoing, all of them are to be undone.
  std::vector<Branch> branches;
  // Number of the newest log entry. Every journal write appends at least one entry, so this versions the record.
  int64_t seq = 0;
  int64_t epoch = 1;  // fencing epoch: raised by every claim; writes under an older one change nothing
  bool needs_attention = false;
  Failure failure;
  std::string traceparent;  // W3C trace context of the call that started it; may be empty
  std::string tracestate;   // goes with it; known only to the process that began the saga
  // What it waits for (JoinWaitNames), and until when; empty: nothing. Nobody drives it meanwhile. It stays until the
  // next write, so that whoever claims it knows what was waited for.
  std::string waits_for;
  absl::Time wakes_at;
  bool woken = false;  // wakes_at was over when it was read, by the journal's clock
  // What has been said of that, as of the claim that handed the record out.
  std::optional<KeptSignal> signal;
  absl::Time created_at;
  absl::Time updated_at;
};

// What the participants' outcomes add to the books since the last journal write, in a shape that any kind fits into.
// The kind knows what the bits mean.
using EffectBits = uint64_t;

// A saga of some kind, as the engine hands it around. Whoever knows the kind sees the rest by As.
struct Record : Header {
  virtual ~Record() = default;
  virtual std::unique_ptr<Record> Clone() const = 0;
  virtual EffectBits effects() const = 0;
  virtual void set_effects(EffectBits effects) = 0;

 protected:
  Record() = default;
  Record(const Record&) = default;
  Record(Record&&) = default;
  Record& operator=(const Record&) = default;
  Record& operator=(Record&&) = default;
};

// A payload type P names its kind (P::kKind), and has a type P::Effects, of at most eight plain bytes, and a member
// `effects` of that type. The journal commits what is true there together with the header, and the runner then resets
// it to {}.
template <typename P>
struct RecordOf final : Record {
  using Effects = typename P::Effects;
  static_assert(std::is_trivially_copyable_v<Effects> && sizeof(Effects) <= sizeof(EffectBits));

  RecordOf() { kind = P::kKind; }
  std::unique_ptr<Record> Clone() const override { return std::make_unique<RecordOf>(*this); }
  EffectBits effects() const override {
    EffectBits bits = 0;
    std::memcpy(&bits, &payload.effects, sizeof(Effects));
    return bits;
  }
  void set_effects(EffectBits bits) override {
    std::memcpy(static_cast<void*>(&payload.effects), &bits, sizeof(Effects));
  }

  P payload;
};

// The same record, as one of P's kind; it must be one.
template <typename P>
const RecordOf<P>& As(const Record& record) {
  if (record.kind != P::kKind) std::abort();
  return static_cast<const RecordOf<P>&>(record);
}
template <typename P>
RecordOf<P>& As(Record& record) {
  if (record.kind != P::kKind) std::abort();
  return static_cast<RecordOf<P>&>(record);
}

// A log entry's outcome, persisted by name.
enum class LogOutcome : uint8_t {
  kSucceeded,
  kRejected,
  kUnknown,
  kUndone,
  kUndoFailed,
  kCancelled,       // turned back on request
  kRecovered,       // another process took it over
  kNeedsAttention,  // undoing or closing has failed many times, or the store refused a write
  kClosed,          // of the saga: can no longer be turned back; of a step: it was told so
  kResolved,
  kWaiting,    // the step answered Later
  kSignalled,  // what it waited for was said, and is asked for once more
  kAgain,      // the step begins anew, with what the payload says now
};
inline constexpr LogOutcome kLastLogOutcome = LogOutcome::kAgain;
std::string_view Name(LogOutcome outcome);

struct LogEntry {
  int64_t seq = 0;   // from 1, without gaps
  std::string step;  // empty: the saga itself
  int attempt = 0;
  LogOutcome outcome = LogOutcome::kSucceeded;
  State state = State::kRunning;  // after the write that carried the entry
  std::string detail;
  absl::Time at;
  // What this was done by, where that is audited: the journal makes both durable together. Not part of the log.
  domain::DeedPtr deed = nullptr;
};

}  // namespace waybill::saga
