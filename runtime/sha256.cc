#include "runtime/sha256.h"

#include <openssl/evp.h>

#include <cstdlib>

namespace waybill {

std::string Sha256(std::string_view bytes) {
  std::string digest(32, '\0');
  unsigned int size = 0;
  // Fails for lack of memory alone.
  if (EVP_Digest(bytes.data(), bytes.size(), reinterpret_cast<unsigned char*>(digest.data()), &size, EVP_sha256(),
                 nullptr) != 1) {
    std::abort();
  }
  return digest;
}

}  // namespace waybill
