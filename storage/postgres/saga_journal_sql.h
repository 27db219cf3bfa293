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
  // The quick advance is several statements in one transaction: the headers move on, and then what is booked with them:
  // the claim, if the kind has one, its bookings, and the entries of the log. Those without rows are left out.
  ArrayStatement move;
  std::vector<ArrayStatement> books;
  // The careful advance is one, over the arrays of all of those in the same order.
  std::string advance;
  std::string find_by_key, states, claim_expired, claim_woken, claim_one, far_leases, load_claimed, set_aside, renew,
      release, load, log;
  std::string acted_on;      // forgets the signals that the records just written act on
  std::string said_already;  // what the records just written wait for, and has been said: those keep their leases
  std::string said_claimed;  // what has been said of what the claimed ones waited for
  // What AddSignal runs in one transaction: the saga's row is locked first, so that who writes that it waits, and who
  // signals, see each other.
  std::string signal_lock, signal_keep, signal_wake, signal_find;
};
SagaJournalSql BuildSagaJournalSql(const SagaTables::Sql& t);

}  // namespace waybill::storage
