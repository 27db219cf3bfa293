#include "tests/support/temp_directory.h"

#include <netinet/in.h>
#include <pwd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <random>

namespace waybill::testing {

TempDirectory::TempDirectory(const std::string& user) {
  std::string pattern = (std::filesystem::temp_directory_path() / "waybill-test-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) {
    std::perror(pattern.c_str());
    std::abort();
  }
  path_ = pattern;
  if (!user.empty() && getuid() == 0) {
    const passwd* entry = getpwnam(user.c_str());
    if (entry == nullptr || chown(pattern.c_str(), entry->pw_uid, entry->pw_gid) < 0) {
      std::perror(user.c_str());
      std::abort();
    }
  }
}

TempDirectory::~TempDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

int FreePort() {
  constexpr int kFirstPort = 15000;
  constexpr int kLastPort = 31999;
  std::random_device entropy;
  std::uniform_int_distribution<int> pick(kFirstPort, kLastPort);
  for (;;) {
    const int port = pick(entropy);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool free = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    close(fd);
    if (free) return port;
  }
}

}  // namespace waybill::testing
