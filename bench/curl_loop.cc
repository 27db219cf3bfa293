// Posts signed events by libcurl as fast as it can, and does nothing else: what waybill-order's deliveries are measured
// beside. For waybill-bench alone.
//   curl_loop URL ENDPOINTS POSTS CONNECTIONS SECRET BODY
#include <curl/curl.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "fmt/format.h"
#include "webhooks/signature.h"

namespace {

struct Settings {
  std::string url;
  long endpoints, posts, connections;
  std::string secret, body;
};

size_t Ignore(char*, size_t size, size_t count, void*) { return size * count; }

// One handle, and the headers of what it posts.
struct Post {
  CURL* handle = curl_easy_init();
  curl_slist* headers = nullptr;

  Post() = default;
  Post(const Post&) = delete;
  Post& operator=(const Post&) = delete;
  ~Post() {
    curl_easy_cleanup(handle);
    curl_slist_free_all(headers);
  }

  void Prepare(const Settings& settings, long number) {
    const std::string id = fmt::format("evt_{}", number);
    const absl::Time now = absl::Now();
    curl_slist_free_all(headers);
    headers = nullptr;
    for (const std::string& header :
         {std::string("Content-Type: application/json"), "webhook-id: " + id,
          fmt::format("webhook-timestamp: {}", absl::ToUnixSeconds(now)),
          "webhook-signature: " + waybill::webhooks::Sign({settings.secret}, id, now, settings.body)}) {
      headers = curl_slist_append(headers, header.c_str());
    }
    curl_easy_setopt(handle, CURLOPT_URL,
                     fmt::format("{}/hook/{}", settings.url, 1 + number % settings.endpoints).c_str());
    curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(handle, CURLOPT_POSTFIELDS, settings.body.c_str());
    curl_easy_setopt(handle, CURLOPT_POSTFIELDSIZE, static_cast<long>(settings.body.size()));
    curl_easy_setopt(handle, CURLOPT_WRITEFUNCTION, Ignore);
    curl_easy_setopt(handle, CURLOPT_PRIVATE, this);
  }
};

void Expect(CURLcode outcome) {
  if (outcome == CURLE_OK) return;
  std::fprintf(stderr, "%s\n", curl_easy_strerror(outcome));
  std::exit(1);
}

void OneAfterTheOther(const Settings& settings) {
  Post post;
  for (long number = 1; number <= settings.posts; ++number) {
    post.Prepare(settings, number);
    Expect(curl_easy_perform(post.handle));
  }
}

void AtTheSameTime(const Settings& settings) {
  CURLM* multi = curl_multi_init();
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, settings.connections);
  std::vector<Post> posts(static_cast<size_t>(settings.connections));
  long begun = 0, ended = 0;
  const auto begin = [&](Post& post) {
    if (begun == settings.posts) return;
    post.Prepare(settings, ++begun);
    curl_multi_add_handle(multi, post.handle);
  };
  for (Post& post : posts) begin(post);
  while (ended < settings.posts) {
    int running = 0, left = 0;
    curl_multi_perform(multi, &running);
    bool any = false;
    while (const CURLMsg* message = curl_multi_info_read(multi, &left)) {
      Expect(message->data.result);
      Post* post = nullptr;
      curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &post);
      curl_multi_remove_handle(multi, post->handle);
      ++ended;
      any = true;
      begin(*post);
    }
    if (!any) curl_multi_poll(multi, nullptr, 0, 1'000, nullptr);
  }
  curl_multi_cleanup(multi);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 7) {
    std::fprintf(stderr, "curl_loop URL ENDPOINTS POSTS CONNECTIONS SECRET BODY\n");
    return 2;
  }
  const Settings settings{argv[1], std::atol(argv[2]),  std::atol(argv[3]), std::atol(argv[4]),
                          argv[5], std::string(argv[6])};
  curl_global_init(CURL_GLOBAL_DEFAULT);
  settings.connections == 1 ? OneAfterTheOther(settings) : AtTheSameTime(settings);
  curl_global_cleanup();
  return 0;
}
