#include "tests/support/reserved_port.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gtest/gtest.h"

namespace waybill::testing {
namespace {

// 0, or errno.
int Listen(int port, bool reuse) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
  if (reuse) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  const bool listens = bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 && listen(fd, 1) == 0;
  const int error = listens ? 0 : errno;
  close(fd);
  return error;
}

TEST(ReservedPort, IsForServersThatComeBackAndForNobodyElse) {
  const ReservedPort reserved;
  EXPECT_EQ(Listen(reserved.port(), /*reuse=*/true), 0);
  EXPECT_EQ(Listen(reserved.port(), /*reuse=*/true), 0) << "again";
  EXPECT_EQ(Listen(reserved.port(), /*reuse=*/false), EADDRINUSE);
  EXPECT_NE(ReservedPort().port(), reserved.port());
}

}  // namespace
}  // namespace waybill::testing
