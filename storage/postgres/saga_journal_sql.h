// The statements that the journal runs for one kind, built once from its tables' description; for a test to read, too.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "storage/postgres/saga_tables.h"

namespace waybill::storage {

// A claimed saga that this version cannot read is left alone for so long.
inline constexpr absl::Duration kSetAside = absl::Minutes(1);

// A statement with the element types of its arrays.
struct ArrayStatement {
  std::string text;
  std::vector<Oid> oids;
};

// Begin and advance come in two forms with the same effect. The quick one takes it that every key is new, every claim
// is free and every saga is still its writer's; when one is not, it fails as a whole: with a unique violation, or by
// the division in `move`. The careful one answers for each.
struct SagaJournalSql {
  ArrayStatement begin;
  std::string begin_quick;
  ArrayStatement begun;  // behind either form; without text: there is nothing to book
  // The quick advance is several statements in one transaction: the headers move on, and then what is booked with them:
  // the claim, if the kind has one, its bookings, the entries of the log, and deeds for the audit. Those without rows
  // are left out.
  ArrayStatement move;
  std::vector<ArrayStatement> books;
  // The careful advance is one, over the arrays of all of those in the same order.
  std::string advance;
  // In the transaction of a begin, before it: gives the transaction its number. The sweep waits for those with lower
  // numbers than its own, see `note_horizon`.
  std::string number;
  std::string find_by_key, states, claim_expired, claim_woken, claim_one, far_leases, load_claimed, set_aside, renew,
      release, load, log;
  // Young sagas have no due_at, and so are in no index of what is unfinished; they are those with an id above the mark
  // (table saga_marks). The sweep gives a due_at to what has grown older and moves the mark, in three statements, each
  // in a transaction of its own. ADR 0034 says why no saga ever is below the mark without a due_at.
  //   note_next     up to where it will go: from now on who begins a saga below that gives it a due_at
  //   note_horizon  which transactions may have begun without having seen that
  //   sweep         once they have ended
  // and, before them, sweep_ahead: what has an id that no clock has reached.
  std::string note_next, note_horizon, sweep, sweep_ahead;
  std::string claim_young;   // what an earlier life of this instance has begun just now
  std::string postpone;      // what is due though its lease was renewed, or has ended since
  std::string acted_on;      // forgets the signals that the records just written act on
  std::string said_already;  // what the records just written wait for, and has been said: those keep their leases
  std::string said_claimed;  // what has been said of what the claimed ones waited for
  // What AddSignal runs in one transaction: the saga's row is locked first, so that who writes that it waits, and who
  // signals, see each other.
  std::string signal_lock, signal_keep, signal_wake, signal_find;
};
SagaJournalSql BuildSagaJournalSql(const SagaTables::Sql& t);

}  // namespace waybill::storage
