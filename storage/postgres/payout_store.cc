#include "storage/postgres/payout_store.h"

#include <memory>
#include <utility>

#include "storage/postgres/sqlstate.h"

namespace waybill::storage {
namespace {

constexpr char kFindPayoutWhere[] =
    " WHERE s.saga_id = (SELECT saga_id FROM payouts WHERE client = $1 AND payout_id = $2)";
constexpr char kListPayoutsWhere[] =
    " JOIN payouts p ON p.saga_id = s.saga_id WHERE ($1::text IS NULL OR p.client = $1) AND ($2 = '' OR p.account = "
    "$2) AND ($3 = '' OR p.state = $3) AND ($4::uuid IS NULL OR p.saga_id < $4) ORDER BY p.saga_id DESC LIMIT $5";

}  // namespace

absl::StatusOr<std::vector<PayoutRecord>> PostgresPayoutStore::Read(Pool& pool, const char* name,
                                                                    const std::string& text,
                                                                    const std::vector<Param>& params) {
  absl::StatusOr<Pool::Lease> connection = pool.Acquire();
  if (!connection.ok()) return connection.status();
  if (absl::Status prepared = (*connection)->Prepare(name, text); !prepared.ok()) return prepared;
  absl::StatusOr<Rows> rows = (*connection)->ExecutePrepared(name, params);
  if (!rows.ok()) return rows.status();
  std::vector<PayoutRecord> payouts;
  for (int row = 0; row < rows->size(); ++row) {
    absl::StatusOr<std::unique_ptr<saga::Record>> record = tables_.Decode(*rows, row);
    if (!record.ok()) return record.status();
    payouts.push_back(std::move(saga::As<domain::Payout>(**record)));
  }
  return payouts;
}

absl::StatusOr<PayoutRecord> PostgresPayoutStore::Find(const std::string& client, const std::string& payout_id) {
  absl::StatusOr<std::vector<PayoutRecord>> found = Read(reads_, "payout_find", tables_.sql().select + kFindPayoutWhere,
                                                         {Param::Text(client), Param::Text(payout_id)});
  if (!found.ok()) return found.status();
  if (found->empty()) return PayoutNotFound(payout_id);
  return std::move(found->front());
}

absl::StatusOr<std::vector<PayoutRecord>> PostgresPayoutStore::List(const PayoutQuery& query) {
  absl::StatusOr<std::vector<PayoutRecord>> found =
      Read(scans_, "payout_list", tables_.sql().select + kListPayoutsWhere,
           {query.client ? Param::Text(*query.client) : Param::Null(kOidText), Param::Text(query.account),
            Param::Text(query.state ? domain::Name(*query.state) : std::string_view()),
            query.before ? Param::Id(*query.before) : Param::Null(kOidUuid), Param::Int8(query.limit)});
  if (!found.ok()) return TooBroadOr(found.status(), "payouts");
  return found;
}

absl::StatusOr<std::optional<int64_t>> PostgresPayoutStore::Available(const std::string& client,
                                                                      const std::string& account,
                                                                      const std::string& currency) {
  absl::StatusOr<Pool::Lease> connection = reads_.Acquire();
  if (!connection.ok()) return connection.status();
  absl::StatusOr<Rows> rows = (*connection)
                                  ->Execute("SELECT payouts_available($1, $2, $3)",
                                            {Param::Text(client), Param::Text(account), Param::Text(currency)});
  if (!rows.ok()) return rows.status();
  if (rows->IsNull(0, 0)) return std::nullopt;
  return rows->Int(0, 0);
}

}  // namespace waybill::storage
