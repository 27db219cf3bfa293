#include "storage/postgres/shared_saga_tables.h"

#include "fmt/format.h"

namespace waybill::storage {

SagaTables::Sql SharedSagaSql(std::string_view kind) {
  SagaTables::Sql sql;
  sql.sagas = "sagas";
  sql.id = "saga_id";
  sql.log = "saga_steps";
  sql.only = fmt::format("kind = '{}'", kind);
  sql.begin = {{"kind", kOidText, ""}, {"dedupe_key", kOidText, ""}, {"payload", kOidText, "::jsonb"}};
  sql.dedupe = "kind, dedupe_key";
  sql.move = {{"payload", kOidText, ""}};
  sql.set = "payload = s.payload || i.payload::jsonb";
  sql.select = fmt::format("SELECT s.saga_id, {}, s.payload FROM sagas s", kHeaderColumns);
  return sql;
}

}  // namespace waybill::storage
