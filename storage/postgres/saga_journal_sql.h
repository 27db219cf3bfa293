// The statements that the journal runs for one kind, built once from its tables' description; for a test to read, too.
#pragma once

#include <string>
#include <vector>

#include "absl/time/time.h"
#include "storage/postgres/saga_tables.h"

namespace waybill::storage {

// A claimed saga that this version cannot read is left alone for so long.
inline constexpr absl::Duration kSetAside = absl::Minutes(1);

// Begin and advance come in two forms with the same effect. The quick one takes it that every key is new and every
// claim is free; when one is not, it fails as a whole with a unique violation. The careful one answers for each.
struct SagaJournalSql {
  std::string begin, begin_quick, advance, advance_quick, advance_unfenced, find_by_key, states, claim_expired,
      claim_woken, claim_one, far_leases, load_claimed, set_aside, renew, release, load, log;
  std::string acted_on;      // forgets the signals that the records just written act on
  std::string said_already;  // what the records just written wait for, and has been said: those keep their leases
  std::string said_claimed;  // what has been said of what the claimed ones waited for
  // What AddSignal runs in one transaction: the saga's row is locked first, so that who writes that it waits, and who
  // signals, see each other.
  std::string signal_lock, signal_keep, signal_wake, signal_find;
  std::vector<Oid> begin_oids, advance_oids;
};
SagaJournalSql BuildSagaJournalSql(const SagaTables::Sql& t);

}  // namespace waybill::storage
