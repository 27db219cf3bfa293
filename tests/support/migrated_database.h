// A database of the test's own with Waybill's tables in it.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "tests/support/postgres.h"

namespace waybill::testing {

class MigratedDatabase {
 public:
  // On the shared server: a copy of one that is migrated once a program.
  MigratedDatabase() : database_(SharedPostgresUrl(), Migrated().name()) {}
  explicit MigratedDatabase(std::string_view server_url) : database_(server_url) { ApplyMigrations(sql_); }

  const std::string& url() const { return database_.url(); }
  Sql& sql() { return sql_; }

 private:
  static const TestDatabase& Migrated() {
    static const TestDatabase database;
    static const bool migrated = [] {
      Sql sql(database.url());
      ApplyMigrations(sql);
      return true;
    }();
    (void)migrated;
    return database;
  }
  static void ApplyMigrations(Sql& sql) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(WAYBILL_MIGRATIONS_DIR)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    for (const auto& file : files) {
      std::ifstream in(file);
      std::ostringstream text;
      text << in.rdbuf();
      sql.Exec(text.str());
    }
  }

  TestDatabase database_;
  Sql sql_{database_.url()};
};

}  // namespace waybill::testing
