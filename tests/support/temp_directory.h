// A directory that lives as long as the object, under $TMPDIR.
#pragma once

#include <filesystem>
#include <string>

namespace waybill::testing {

class TempDirectory {
 public:
  // Owned by `user` when one is named and the test runs as root. Aborts when it cannot be made.
  explicit TempDirectory(const std::string& user = "");
  ~TempDirectory();
  TempDirectory(const TempDirectory&) = delete;
  TempDirectory& operator=(const TempDirectory&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// A loopback port that was free a moment ago, below the range the kernel hands to outgoing connections, so that a
// server which restarts finds it free again.
int FreePort();

}  // namespace waybill::testing
