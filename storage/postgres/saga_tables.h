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

// A statement that books rows for some of the sagas of a commit, the same in both forms of the advance. `columns` are
// of its rows besides the saga's key, which comes first and has the name that the header's has. The text names
//   {rows}     the rows: "unnest(…) AS i(…)"
//   {ids}      their keys, an array: what it changes it finds by "= ANY({ids})", since it is planned once, perhaps
//   while
//              the tables are empty
//   {allowed}  in its WHERE: which of the rows are still the writer's
// Braces of its own are doubled. No two bookings, nor a booking and a claim, touch the same row for one write: in the
// careful form none sees what another has changed.
struct Booking {
  std::vector<UnnestColumn> columns;
  std::string text;
};

// "INSERT … SELECT … FROM {rows} WHERE {allowed} ORDER BY … {lost}", in an order that all writers keep. What cannot be
// had is a unique violation. The careful form inserts only what `possible` allows (over `i`; empty: all), and passes
// over what is taken by `lost`, "ON CONFLICT … DO NOTHING": a write that wanted a row and got none is a lost claim.
struct Claim : Booking {
  std::string possible;
  std::string lost;
};

// The rows of one commit, as they are filled in.
class BookedRows {
 public:
  virtual ~BookedRows() = default;
  // A row more of a booking, by its place among SagaTables::Sql's; of the saga that is being written. Its columns.
  virtual std::span<ArrayParam> Book(size_t booking) = 0;
  virtual std::span<ArrayParam> Claim() = 0;
  virtual std::span<ArrayParam> Begun() = 0;
};

// Of a commit, the ledger's accounts that other sessions write to as well. It opens and locks them before all else
// (ledger_lock_accounts in migrations/0032_order_ends.sql), in one order, and so waits for others one way only.
struct SharedAccounts {
  ArrayParam orders{kOidUuid};                       // that end in it: those of their drivers
  ArrayParam clients{kOidText}, accounts{kOidText};  // of payouts: whose, and the client's id for it

  bool empty() const { return orders.size() == 0 && accounts.size() == 0; }
};

// The header table has the columns that migrations/0011_sagas.sql's sagas has from `state` on, `version`, 0012's
// `branches` and 0014's `due_at`, with the default, the trigger and the indexes of the latter, besides the payload's
// own; the log table those of saga_steps. A kind that needs no tables of its own: SharedSagaTables.
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
    // A row more that some sagas begin with; without text: none does. It comes behind the headers, in both forms, so
    // its text has no {allowed}: it takes the rows whose headers are there, and passes over those of an earlier try.
    Booking begun;
    // The constraints by which the schema may refuse to begin one: an answer to whoever asks for it, and no fault.
    std::vector<std::string> rules;

    // Payload columns of the header that Advance sets, as `i`: "payload = i.payload"; both empty: none.
    std::vector<UnnestColumn> move;
    std::string set;
    // What another saga may hold, and this kind claims; without text: nothing. One row a write at most.
    Claim claim;
    // What else is booked in a commit.
    std::vector<Booking> bookings;

    // "SELECT … FROM <sagas> s …", without WHERE, for Decode: the key, then kHeaderColumns, then the payload's.
    std::string select;
  };
  virtual ~SagaTables() = default;
  virtual std::string_view kind() const = 0;
  virtual const Sql& sql() const = 0;

  // The records are of this kind.
  virtual void AddBegin(const saga::Record& record, std::span<ArrayParam> columns) const = 0;
  virtual void AddBegun(const saga::Record&, BookedRows&) const {}
  virtual void AddMove(const saga::Record& record, std::span<ArrayParam> columns) const = 0;
  virtual void AddBookings(const saga::Record& record, BookedRows& rows) const = 0;
  // What the record's next write moves money of; `begins`: the write that begins it.
  virtual void AddAccounts(const saga::Record&, bool /*begins*/, SharedAccounts&) const {}
  // The values of the `dedupe` columns.
  virtual std::vector<std::string> DedupeKey(const saga::Record& record) const = 0;
  // UNREADABLE_ROW.
  virtual absl::StatusOr<std::unique_ptr<saga::Record>> Decode(const Rows& rows, int row) const = 0;
};

}  // namespace waybill::storage
