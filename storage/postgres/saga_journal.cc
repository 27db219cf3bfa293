#include "storage/postgres/saga_journal.h"

namespace waybill::storage {

std::string ColumnNames(const std::vector<UnnestColumn>& columns) {
  std::string names;
  for (const UnnestColumn& column : columns) {
    if (!names.empty()) names += ", ";
    names += column.name;
  }
  return names;
}

std::string Unnest(const std::vector<UnnestColumn>& columns, std::string_view alias, int first,
                   std::vector<Oid>& oids) {
  std::string arrays;
  for (const UnnestColumn& column : columns) {
    if (!arrays.empty()) arrays += ", ";
    arrays += fmt::format("${}", first++);
    oids.push_back(column.element);
    switch (column.element) {
      case kOidUuid:
        arrays += "::uuid[]";
        break;
      case kOidText:
        arrays += "::text[]";
        break;
      case kOidBytea:
        arrays += "::bytea[]";
        break;
      case kOidInt2:
        arrays += "::smallint[]";
        break;
      case kOidInt4:
        arrays += "::integer[]";
        break;
      case kOidInt8:
        arrays += "::bigint[]";
        break;
      case kOidFloat8:
        arrays += "::double precision[]";
        break;
      case kOidBool:
        arrays += "::boolean[]";
        break;
      case kOidTimestamptz:
        arrays += "::timestamptz[]";
        break;
      default:
        std::abort();  // a column type that this list does not know yet
    }
  }
  return fmt::format("unnest({}) AS {}({})", arrays, alias, ColumnNames(columns));
}

std::string UnnestValues(const std::vector<UnnestColumn>& columns, std::string_view alias) {
  std::string values;
  for (const UnnestColumn& column : columns) {
    if (!values.empty()) values += ", ";
    values += fmt::format("{}.{}{}", alias, column.name, column.cast);
  }
  return values;
}

}  // namespace waybill::storage
