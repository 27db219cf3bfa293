// A gateway's settlement file: comma-separated values with a header, in one of the forms that gateways give it.
#pragma once

#include <cstdint>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "storage/reconciliation.h"

namespace waybill::cli {

struct SettlementFormat {
  std::map<std::string, std::string> columns;  // ours to the file's, where it is none of the usual names
  bool minor_units = false;                    // amounts are whole numbers of them; else decimals, like 12.50
  bool decimal_comma = false;
  bool negate_fees = false;                        // what the gateway kept stands there as a negative number
  std::map<std::string, storage::LineKind> kinds;  // the file's, in lower case, where it is none of the usual names
  std::vector<std::string> skip;                   // kinds of lines that are none of ours, in lower case: sums, payouts
  std::string currency;                            // where no column says
  absl::TimeZone zone = absl::UTCTimeZone();       // of times without one
};

struct SettlementRow {
  int number = 0;  // of the row, from 1, without the header
  storage::LineKind kind = storage::LineKind::kCharge;
  std::string reference;          // ours, or what stands in its place
  std::string gateway_reference;  // the gateway's
  int64_t amount_minor = 0;       // never negative
  int64_t fee_minor = 0;
  std::string currency;
  absl::Time booked_at;
  std::string payout;
};

// Row by row, so that a file may be of any size.
class SettlementFile {
 public:
  // INVALID_ARGUMENT, NOT_FOUND; all errors name file, line, column and reason.
  static absl::StatusOr<SettlementFile> Open(const std::string& path, const SettlementFormat& format);

  // nullopt behind the last one.
  absl::StatusOr<std::optional<SettlementRow>> Next();
  int skipped() const { return skipped_; }  // so far: of kinds that are skipped, and empty ones

 private:
  enum Column { kKind, kReference, kGatewayReference, kAmount, kFee, kCurrency, kTime, kPayout, kColumns };
  struct Name;

  absl::Status ReadHeader();
  // The next row into fields_; false: there is none.
  absl::StatusOr<bool> ReadFields();
  absl::StatusOr<std::optional<SettlementRow>> Take();  // nullopt: to be skipped
  absl::StatusOr<int64_t> TakeAmount(Column column, const std::string& currency) const;
  const std::string& Field(Column column) const;
  absl::Status Wrong(Column column, const std::string& what) const;
  absl::Status Wrong(const std::string& what) const;
  absl::Status CutOff() const;  // the disk, not the file's writer

  std::string path_;
  SettlementFormat format_;
  std::ifstream in_;
  char separator_ = ',';
  std::vector<std::string> header_;
  std::optional<size_t> at_[kColumns];
  std::vector<std::string> fields_;
  int line_ = 0;  // of the file, where the row ends
  int rows_ = 0;
  int skipped_ = 0;
  std::map<storage::LineKind, bool> negative_;  // which way amounts of a kind go: as of its first line
};

}  // namespace waybill::cli
