// The trip's tables, for the same journal that orders use.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "examples/trip/book_trip.h"
#include "storage/postgres/saga_tables.h"

namespace waybill::example {

// Creates the tables, beside those of the product; once per database.
extern const std::string_view kTripSchema;

class TripTables final : public storage::SagaTables {
 public:
  TripTables();
  std::string_view kind() const override { return Trip::kKind; }
  const Sql& sql() const override { return sql_; }
  void AddBegin(const saga::Record& record, std::span<storage::ArrayParam> columns) const override;
  void AddEffects(const saga::Record& record, std::span<storage::ArrayParam> columns) const override;
  std::vector<std::string> DedupeKey(const saga::Record& record) const override;
  absl::StatusOr<std::unique_ptr<saga::Record>> Decode(const storage::Rows& rows, int at) const override;

 private:
  Sql sql_;
};

}  // namespace waybill::example
