#include "bench/database.h"

#include <utility>

#include "fmt/format.h"
#include "storage/postgres/connection.h"

namespace waybill::bench {
namespace {

absl::Status Run(const std::string& url, const std::string& sql) {
  storage::ConnectionOptions options;
  options.application_name = "waybill-bench";
  options.statement_timeout = absl::Seconds(60);
  absl::StatusOr<std::unique_ptr<storage::Connection>> connection = storage::Connection::Open(url, options);
  if (!connection.ok()) return connection.status();
  return (*connection)->Execute(sql).status();
}

}  // namespace

absl::StatusOr<std::unique_ptr<FreshDatabase>> FreshDatabase::Create(const std::string& server_url,
                                                                     const std::string& name) {
  for (const std::string& sql :
       {fmt::format("DROP DATABASE IF EXISTS {} WITH (FORCE)", name), fmt::format("CREATE DATABASE {}", name)}) {
    if (const absl::Status status = Run(server_url, sql); !status.ok()) return status;
  }
  return std::unique_ptr<FreshDatabase>(new FreshDatabase(server_url, name, WithDatabase(server_url, name)));
}

FreshDatabase::~FreshDatabase() {
  // Best effort: a database left behind is replaced by the next run.
  Run(server_url_, fmt::format("DROP DATABASE IF EXISTS {} WITH (FORCE)", name_)).IgnoreError();
}

std::string WithDatabase(std::string_view url, std::string_view database) {
  const size_t authority = url.find("://") + 3;
  const size_t options = std::min(url.find('?'), url.size());
  const size_t path = std::min(url.find('/', authority), options);
  return fmt::format("{}/{}{}", url.substr(0, path), database, url.substr(options));
}

}  // namespace waybill::bench
