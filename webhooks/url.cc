#include "webhooks/url.h"

#include <algorithm>
#include <charconv>

#include "fmt/format.h"

namespace waybill::webhooks {
namespace {

absl::Status Wrong(std::string_view what) { return absl::InvalidArgumentError(std::string(what)); }

}  // namespace

absl::StatusOr<Url> ParseUrl(std::string_view text) {
  constexpr std::string_view kPlain = "http://", kTls = "https://";
  if (text.size() > kUrlBytesMax) return Wrong(fmt::format("is longer than {} bytes", kUrlBytesMax));
  if (!std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; })) {
    return Wrong("has other characters than visible ASCII: write the host as a DNS name, and the rest percent-encoded");
  }
  Url url;
  if (text.starts_with(kTls)) {
    url.tls = true;
    text.remove_prefix(kTls.size());
  } else if (text.starts_with(kPlain)) {
    text.remove_prefix(kPlain.size());
  } else {
    return Wrong("does not begin with https:// or http://");
  }
  if (text.find('#') != std::string_view::npos) return Wrong("has a fragment");
  const size_t end = std::min(text.find_first_of("/?"), text.size());
  std::string_view authority = text.substr(0, end);
  url.target = text.substr(end);
  if (!url.target.starts_with('/')) url.target.insert(0, "/");
  if (authority.find('@') != std::string_view::npos) return Wrong("has a user or a password");
  std::string_view port;
  if (authority.starts_with('[')) {
    const size_t close = authority.find(']');
    if (close == std::string_view::npos) return Wrong("has an address without its closing bracket");
    url.host = authority.substr(1, close - 1);
    port = authority.substr(close + 1);
    if (url.host.find_first_not_of("0123456789abcdefABCDEF:.") != std::string::npos)
      return Wrong("has no such address");
  } else {
    const size_t colon = std::min(authority.find(':'), authority.size());
    url.host = authority.substr(0, colon);
    port = authority.substr(colon);
    constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    if (url.host.find_first_not_of(kAllowed) != std::string::npos) return Wrong("has no such host");
  }
  if (url.host.empty()) return Wrong("has no host");
  if (url.host.ends_with('.')) return Wrong("has a host with a dot at its end, which no certificate names");
  url.port = url.tls ? 443 : 80;
  if (!port.empty()) {
    if (port.front() != ':') return Wrong("has something behind its host");
    port.remove_prefix(1);
    const auto [stop, error] = std::from_chars(port.data(), port.data() + port.size(), url.port);
    if (error != std::errc() || stop != port.data() + port.size() || url.port < 1 || url.port > 65'535) {
      return Wrong("has no such port");
    }
  }
  return url;
}

}  // namespace waybill::webhooks
