// How the sagas of one kind stand in Postgres: which tables they live in, and how their effects are booked.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "saga/record.h"
#include "storage/postgres/connection.h"
#include "storage/postgres/params.h"

namespace waybill::storage {

// An array parameter that a statement unnests: its column's name there, the element type, and a cast for what is not
// sent as its own type ("::jsonb", say; usually empty).
struct UnnestColumn {
  std::string name;
  Oid element;
  std::string cast;
};

// The header table has the columns that migrations/0011_sagas.sql's sagas has from `state` on, `version`, and 0012's
// `branches`, besides the payload's own; the log table those of saga_steps. A kind that needs no tables of its own:
// SharedSagaTables.
class SagaTables {
 public:
  struct Sql {
    std::string sagas;  // header table
    std::string id;     // its key column, and the log table's column of the same name
    std::string log;
    std::string only;  // "kind = '…'": which rows of the header table are of this kind; empty: all

    // Payload columns of the header, written once by Begin.
    std::vector<UnnestColumn> begin;
    std::string dedupe;  // "client, idempotency_key": columns of a unique constraint, all text, all in `begin`

    // "payload = i.payload": what Advance sets of the payload's columns, over `effects` as `i`; empty: nothing.
    std::string set;
    // What Advance books besides the header. `effects` become columns of `ok`, the writes that are allowed, as `i`.
    std::vector<UnnestColumn> effects;
    // "INSERT … SELECT … FROM ok i": claims what another saga may hold, for the writes for which `claim_wanted` (over
    // `i`) holds, in `claim_order`; empty: this kind claims nothing. What cannot be had is a unique violation. The
    // careful form inserts only what `claim_possible` allows (empty: all), "ON CONFLICT … DO NOTHING" (`claim_lost`); a
    // write that wanted a row and got none is a lost claim.
    std::string claim;
    std::string claim_wanted;
    std::string claim_possible;
    std::string claim_order;
    std::string claim_lost;
    // Data-modifying statements, to be used as CTEs, over `done`: the rows of `ok` that were applied.
    std::vector<std::string> bookings;

    // "SELECT … FROM <sagas> s …", without WHERE, for Decode: the key, then kHeaderColumns, then the payload's.
    std::string select;
  };
  virtual ~SagaTables() = default;
  virtual std::string_view kind() const = 0;
  virtual const Sql& sql() const = 0;

  // The records are of this kind.
  virtual void AddBegin(const saga::Record& record, std::span<ArrayParam> columns) const = 0;
  virtual void AddEffects(const saga::Record& record, std::span<ArrayParam> columns) const = 0;
  // The values of the `dedupe` columns.
  virtual std::vector<std::string> DedupeKey(const saga::Record& record) const = 0;
  // UNREADABLE_ROW.
  virtual absl::StatusOr<std::unique_ptr<saga::Record>> Decode(const Rows& rows, int row) const = 0;
};

}  // namespace waybill::storage
