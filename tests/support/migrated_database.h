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
  MigratedDatabase() { ApplyMigrations(); }
  explicit MigratedDatabase(std::string_view server_url) : database_(server_url), sql_(database_.url()) {
    ApplyMigrations();
  }

  const std::string& url() const { return database_.url(); }
  Sql& sql() { return sql_; }

 private:
  void ApplyMigrations() {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(WAYBILL_MIGRATIONS_DIR)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    for (const auto& file : files) {
      std::ifstream in(file);
      std::ostringstream text;
      text << in.rdbuf();
      sql_.Exec(text.str());
    }
  }

  TestDatabase database_;
  Sql sql_{database_.url()};
};

}  // namespace waybill::testing
