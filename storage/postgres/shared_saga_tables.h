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

// What a kind's sagas book in tables of its own, in the commits of `sagas`; see SagaTables::Sql for the statements. The
// key of `ok` and `done` is saga_id; name it by `= ANY(ARRAY(SELECT saga_id FROM done WHERE …))` where only some of
// them have rows to change, since the statements are planned once, perhaps while the tables are empty.
template <typename P>
struct SagaBookings {
  std::vector<UnnestColumn> effects;
  std::function<void(const P&, std::span<ArrayParam>)> add_effects;
  std::string claim, claim_wanted, claim_possible, claim_order, claim_lost;
  std::vector<std::string> bookings;
};

// The statements' part that is the same for every payload.
SagaTables::Sql SharedSagaSql(std::string_view kind);

template <typename P>
class SharedSagaTables final : public SagaTables {
 public:
  explicit SharedSagaTables(saga::Codec<P> codec, SagaBookings<P> bookings = {})
      : codec_(std::move(codec)), add_effects_(std::move(bookings.add_effects)), sql_(SharedSagaSql(P::kKind)) {
    sql_.effects.insert(sql_.effects.end(), bookings.effects.begin(), bookings.effects.end());
    sql_.claim = std::move(bookings.claim);
    sql_.claim_wanted = std::move(bookings.claim_wanted);
    sql_.claim_possible = std::move(bookings.claim_possible);
    sql_.claim_order = std::move(bookings.claim_order);
    sql_.claim_lost = std::move(bookings.claim_lost);
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
  void AddEffects(const saga::Record& record, std::span<ArrayParam> columns) const override {
    const P& payload = saga::As<P>(record).payload;
    columns[0].AddText(codec_.encode(payload));
    if (add_effects_) add_effects_(payload, columns.subspan(1));
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
  const std::function<void(const P&, std::span<ArrayParam>)> add_effects_;
  Sql sql_;
};

}  // namespace waybill::storage
