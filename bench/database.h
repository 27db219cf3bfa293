// A database of one's own for each scenario, on the server the bench was given.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace waybill::bench {

// Dropped at the end, with whatever is still connected to it.
class FreshDatabase {
 public:
  // Replaces a database of that name. `server_url`: postgresql://…, of a user who may create databases. `name` is an
  // identifier: lower-case letters, digits and underscores.
  static absl::StatusOr<std::unique_ptr<FreshDatabase>> Create(const std::string& server_url, const std::string& name);
  ~FreshDatabase();
  FreshDatabase(const FreshDatabase&) = delete;
  FreshDatabase& operator=(const FreshDatabase&) = delete;

  const std::string& url() const { return url_; }

 private:
  FreshDatabase(std::string server_url, std::string name, std::string url)
      : server_url_(std::move(server_url)), name_(std::move(name)), url_(std::move(url)) {}

  std::string server_url_;
  std::string name_;
  std::string url_;
};

// `url` with its database replaced: postgresql://user@host:port/<database>?options.
std::string WithDatabase(std::string_view url, std::string_view database);

}  // namespace waybill::bench
