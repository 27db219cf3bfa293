// What a saga of one kind does, step by step:
//
//   saga::Define<Order>()
//       .Step("charge_payment").Does(Charge(payments)).UndoneBy(Refund(payments))
//       .Step("assign_driver").Does(Assign(dispatch)).UndoneBy(Release(dispatch))
//       .Done();
//
// Steps that need nothing of each other are done at the same time:
//
//   saga::Define<Trip>().Step("book_flight")….Beside("book_hotel")….Step("send_tickets")…
//
// Step names are persisted, and therefore as stable as column names; so are their order and what is beside what. To
// change them, give the kind a new version, and keep the old one beside it while sagas of it are not closed,
// compensated or resolved (one that has succeeded can still be turned back): each stays with the one it began with.
#pragma once

#include <cassert>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "domain/reasons.h"
#include "runtime/clock.h"
#include "runtime/ids.h"
#include "saga/outcome.h"
#include "saga/record.h"
#include "saga/retry_policy.h"

namespace waybill::saga {

// One call to a participant.
struct Attempt {
  Uuid saga_id;
  std::string_view step;  // with the id it makes the idempotency key, see Key(); the same in both directions
  int number = 1;         // from 1
  int conflicts = 0;      // how often the claim that this attempt made was lost at commit
  // Only when it is done: an earlier call of this step may have had an effect, or may still have one, of which nobody
  // has heard: one was answered unknown or Later, or was perhaps in flight when its process ended.
  bool in_doubt = false;
  SteadyTime deadline;           // by then the action must have called done
  std::string_view traceparent;  // of its span, or of the call that began the saga; may be empty
  std::string_view tracestate;   // goes with it

  std::string Key() const {
    std::string key = saga_id.ToString();
    key += '/';
    key += step;
    return key;
  }
};

using OutcomeCallback = absl::AnyInvocable<void(Outcome)>;

// An action on a record of whatever kind, as the runner calls it; see Action.
struct AnyAction {
  std::function<void(const Attempt&, Record&, OutcomeCallback done)> call;
  bool journaled = false;
  std::function<void(Record&)> claim_lost;
  std::function<std::optional<Outcome>(Outcome, Record&)> signalled;
};

// Does or undoes one step for payload P. The action may change the payload until it calls `done`; it calls it exactly
// once, on any thread, perhaps at once, and not later than the attempt's deadline: the runner has no timer for that, so
// one that never does holds the saga until the process ends. It neither blocks nor throws, and copies what it needs of
// the attempt before it returns. What takes longer than an attempt, it answers with Outcome::Later, unless it is
// journaled: then nobody drives the saga until somebody signals what became of it, or until the time is over. So does
// what undoes or closes.
//
// Actions of steps beside each other run at the same time on one payload: none reads or changes a member that another
// one changes. Members of `effects` count singly, but not bit-fields.
//
// Both directions must be idempotent under the attempt's key, and undoing must close the key: it may be called for a
// step whose outcome is unknown, and a call that arrives late must then have no effect.
template <typename P>
struct Action {
  std::function<void(const Attempt&, P&, OutcomeCallback done)> call;
  // True: the call has no effect outside; all it does is to fill in payload effects, which the journal commits together
  // with the outcome. No intent has to be durable first.
  bool journaled = false;
  // Takes what the call claimed out of the payload again, since the journal gave the claim to another saga; null:
  // nothing is there to take out.
  std::function<void(P&)> claim_lost;
  // Takes into the payload what a signal says of a call that was answered Later, and answers what to make of it.
  // nullopt: the participant knows better, so the call is repeated at once. Null: it is taken as it is.
  std::function<std::optional<Outcome>(Outcome, P&)> signalled;

  operator AnyAction() const {  // NOLINT(google-explicit-constructor): it is one
    AnyAction any;
    any.journaled = journaled;
    if (call) {
      any.call = [typed = call](const Attempt& attempt, Record& record, OutcomeCallback done) {
        typed(attempt, As<P>(record).payload, std::move(done));
      };
    }
    if (claim_lost) any.claim_lost = [typed = claim_lost](Record& record) { typed(As<P>(record).payload); };
    if (signalled) {
      any.signalled = [typed = signalled](Outcome outcome, Record& record) {
        return typed(std::move(outcome), As<P>(record).payload);
      };
    }
    return any;
  }
};

struct Step {
  std::string name;
  AnyAction does;
  AnyAction undone_by;  // call empty: there is nothing to undo
  // Tells the step, once the saga has succeeded for good, that it will not be undone; call empty: it need not know.
  // Under the same key; repeated until it succeeds.
  AnyAction closed_by;
  RetryPolicy retry;
  bool beside = false;  // the step before it
};

struct Definition {
  std::string kind;
  int version = 1;
  bool begins = true;  // new sagas begin with it, if it is the newest that they may begin with
  std::vector<Step> steps;

  // The steps that are done at the same time: from `first` to before `end`; most often one.
  struct Group {
    int first = 0;
    int end = 0;
    int size() const { return end - first; }
  };
  Group GroupOf(int step) const {
    Group group{step, step + 1};
    while (group.first > 0 && steps[static_cast<size_t>(group.first)].beside) --group.first;
    while (group.end < static_cast<int>(steps.size()) && steps[static_cast<size_t>(group.end)].beside) ++group.end;
    return group;
  }
  // Whether the header's branches can be those of the group that its step is in.
  bool HasBranchesOf(const Header& header) const;
};

// Steps beside each other, at most.
inline constexpr int kGroupMax = 16;

// The reason with which a process refuses to change a saga that it does not drive.
inline constexpr std::string_view kNotDrivenHere = domain::FindReason("SAGA_NOT_DRIVEN_HERE").name;

// The kinds of sagas that a process drives, each version once.
class Kinds {
 public:
  explicit Kinds(std::vector<Definition> definitions) : definitions_(std::move(definitions)) {
    for (const Definition& definition : definitions_) {
      assert(IsKindName(definition.kind));
      assert(Find(definition.kind, definition.version) == &definition && "each version once");
      (void)definition;
    }
  }

  // Null: this process does not know the kind, or not this version of it.
  const Definition* Find(std::string_view kind, int version) const {
    for (const Definition& definition : definitions_) {
      if (definition.kind == kind && definition.version == version) return &definition;
    }
    return nullptr;
  }
  // The version that new sagas of the kind begin with. Null: there is none.
  const Definition* Newest(std::string_view kind) const {
    const Definition* newest = nullptr;
    for (const Definition& definition : definitions_) {
      if (definition.kind != kind || !definition.begins) continue;
      if (newest == nullptr || definition.version > newest->version) newest = &definition;
    }
    return newest;
  }
  // kNotDrivenHere, unless this process drives the saga's kind and version.
  absl::Status CheckDriven(const Header& header) const;
  const std::vector<Definition>& all() const { return definitions_; }

 private:
  std::vector<Definition> definitions_;
};

template <typename P>
class DefinitionBuilder {
 public:
  DefinitionBuilder() { definition_.kind = P::kKind; }

  // 1-32767, and 1 unless said. Each list of steps that there ever was has a number of its own.
  DefinitionBuilder& Version(int version) {
    assert(version >= 1 && version <= 32'767);
    definition_.version = version;
    return *this;
  }
  // Sagas of this version are driven, and none begins with it yet: for the release in which every process learns it, so
  // that in the next one no process is left that cannot turn such a saga back.
  DefinitionBuilder& NotBegunYet() {
    definition_.begins = false;
    return *this;
  }
  // The name: 1-128 visible ASCII characters but '/', which parts it from the rest where names are composed.
  DefinitionBuilder& Step(std::string name) {
    assert(IsToken(name) && name.find('/') == std::string::npos);
    definition_.steps.push_back({std::move(name), {}, {}, {}, {}, false});
    return *this;
  }
  // A step that is done at the same time as the one before it. If either fails, each is undone that may have had an
  // effect, the last one first. One that is journaled has no call to wait for: it comes when all calls have succeeded,
  // and shares the commit that takes their answers.
  DefinitionBuilder& Beside(std::string name) {
    assert(!definition_.steps.empty());
    Step(std::move(name));
    definition_.steps.back().beside = true;
    assert(definition_.GroupOf(static_cast<int>(definition_.steps.size()) - 1).size() <= kGroupMax);
    return *this;
  }
  DefinitionBuilder& Does(Action<P> action) {
    definition_.steps.back().does = std::move(action);
    return *this;
  }
  DefinitionBuilder& UndoneBy(Action<P> action) {
    definition_.steps.back().undone_by = std::move(action);
    return *this;
  }
  DefinitionBuilder& ClosedBy(Action<P> action) {
    definition_.steps.back().closed_by = std::move(action);
    return *this;
  }
  DefinitionBuilder& Retried(RetryPolicy policy) {
    definition_.steps.back().retry = policy;
    return *this;
  }
  Definition Done() {
    assert(!definition_.steps.empty());
    return std::move(definition_);
  }

 private:
  Definition definition_;
};

template <typename P>
DefinitionBuilder<P> Define() {
  return DefinitionBuilder<P>();
}

}  // namespace waybill::saga
