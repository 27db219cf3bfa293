// The audit in Postgres: audit_deeds, audit_entries and audit_head.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "storage/audit_log.h"
#include "storage/postgres/pool.h"

namespace waybill::storage {

// The columns of audit_deeds that a deed fills, in the order of DeedRow's parameters.
inline constexpr std::string_view kDeedColumns[] = {"client",       "key_id",  "operator_name", "action",
                                                    "subject_kind", "subject", "detail"};

// "INSERT INTO audit_deeds (…) SELECT $5, …, $11": a part of the statement that does the deed, so that both are there
// or neither is. What follows says whether anything was done: "FROM changed".
std::string InsertDeed(int first_parameter);

// JSON; what is not UTF-8 becomes U+FFFD.
std::string DeedDetail(const domain::Deed& deed);

// A deed's parameters. Has to outlive them, as the deed has.
class DeedRow {
 public:
  explicit DeedRow(const domain::Deed& deed) : deed_(deed), detail_(DeedDetail(deed)) {}
  void AddTo(std::vector<Param>& params) const;

 private:
  const domain::Deed& deed_;
  const std::string detail_;
};

class PostgresAuditLog final : public AuditLog {
 public:
  // What is appended is promised, so `writes` has connections that commit (WriteConnectionOptions). Lists may look
  // through many entries, so `reads` are better not what others wait for.
  PostgresAuditLog(Pool& writes, Pool& reads) : writes_(writes), reads_(reads) {}

  absl::Status Append(const domain::Deed& deed) override;
  absl::StatusOr<std::vector<AuditEntry>> List(const AuditQuery& query) override;
  absl::StatusOr<AuditHead> Head() override;

 private:
  Pool& writes_;
  Pool& reads_;
};

}  // namespace waybill::storage
