// The tables of all kinds of sagas that need none of their own: `sagas`, with the payload as its codec writes it, and
// `saga_steps`.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "saga/codec.h"
#include "saga/record.h"
#include "storage/postgres/params.h"
#include "storage/postgres/saga_rows.h"
#include "storage/postgres/saga_tables.h"

namespace waybill::storage {

// What a kind's sagas book in tables of its own, in the commits of `sagas`. Their rows' key is saga_id.
template <typename P>
struct SagaBookings {
  Claim claim;
  std::vector<Booking> bookings;
  std::function<void(const saga::RecordOf<P>&, BookedRows&)> add;
  Booking begun;  // without text: none
  std::function<void(const saga::RecordOf<P>&, BookedRows&)> add_begun;
  std::vector<std::string> rules;
  std::function<void(const saga::RecordOf<P>&, bool begins, SharedAccounts&)> add_accounts;  // as in SagaTables
};

// The statements' part that is the same for every payload.
SagaTables::Sql SharedSagaSql(std::string_view kind);

template <typename P>
class SharedSagaTables final : public SagaTables {
 public:
  explicit SharedSagaTables(saga::Codec<P> codec, SagaBookings<P> bookings = {})
      : codec_(std::move(codec)),
        add_bookings_(std::move(bookings.add)),
        add_begun_(std::move(bookings.add_begun)),
        add_accounts_(std::move(bookings.add_accounts)),
        sql_(SharedSagaSql(P::kKind)) {
    sql_.begun = std::move(bookings.begun);
    sql_.rules = std::move(bookings.rules);
    sql_.claim = std::move(bookings.claim);
    sql_.bookings = std::move(bookings.bookings);
  }

  std::string_view kind() const override { return P::kKind; }
  const Sql& sql() const override { return sql_; }

  void AddBegin(const saga::Record& record, std::span<ArrayParam> columns) const override {
    const P& payload = saga::As<P>(record).payload;
    columns[0].AddText(P::kKind);
    columns[1].AddText(codec_.key(payload));
    columns[2].AddText(codec_.encode(payload));
  }
  void AddMove(const saga::Record& record, std::span<ArrayParam> columns) const override {
    columns[0].AddText(codec_.encode(saga::As<P>(record).payload));
  }
  void AddBookings(const saga::Record& record, BookedRows& rows) const override {
    if (add_bookings_) add_bookings_(saga::As<P>(record), rows);
  }
  void AddBegun(const saga::Record& record, BookedRows& rows) const override {
    if (add_begun_) add_begun_(saga::As<P>(record), rows);
  }
  void AddAccounts(const saga::Record& record, bool begins, SharedAccounts& accounts) const override {
    if (add_accounts_) add_accounts_(saga::As<P>(record), begins, accounts);
  }
  std::vector<std::string> DedupeKey(const saga::Record& record) const override {
    return {std::string(P::kKind), codec_.key(saga::As<P>(record).payload)};
  }
  absl::StatusOr<std::unique_ptr<saga::Record>> Decode(const Rows& rows, int at) const override {
    RowReader row(rows, at);
    auto record = std::make_unique<saga::RecordOf<P>>();
    DecodeHeader(row, *record);
    absl::StatusOr<P> payload = codec_.decode(record->version, row.Json(1 + kHeaderColumnCount, "payload"));
    if (!payload.ok()) row.Refuse("payload", std::string(payload.status().message()));
    if (!row.status().ok()) return row.status();
    record->payload = *std::move(payload);
    return record;
  }

 private:
  const saga::Codec<P> codec_;
  const std::function<void(const saga::RecordOf<P>&, BookedRows&)> add_bookings_;
  const std::function<void(const saga::RecordOf<P>&, BookedRows&)> add_begun_;
  const std::function<void(const saga::RecordOf<P>&, bool, SharedAccounts&)> add_accounts_;
  Sql sql_;
};

}  // namespace waybill::storage
