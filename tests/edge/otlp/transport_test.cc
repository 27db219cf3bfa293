// Both ways to a real collector, plain and over TLS.
#include "edge/otlp/transport.h"

#include <memory>
#include <string>

#include "edge/otlp/exporter.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/support/otlp_receiver.h"

namespace waybill::otlp {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr absl::Duration kTimeout = absl::Seconds(20);

class OtlpTransport : public ::testing::TestWithParam<Endpoint::Protocol> {
 protected:
  std::string UrlOf(const testing::OtlpReceiver& receiver) {
    return GetParam() == Endpoint::Protocol::kGrpc ? receiver.GrpcUrl() : receiver.HttpUrl();
  }
  std::unique_ptr<Transport> To(const std::string& url, const std::string& ca = "") {
    return NewTransport(*ParseEndpoint(url), ca);
  }
  static pb::ExportTraceServiceRequest OneSpan() {
    SpanRecord span;
    span.context = *ParseTraceparent("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    span.name = "call";
    span.start = span.end = absl::FromUnixSeconds(100);
    ExporterOptions options;
    options.resource = {{"service.name", "test"}};
    return Encode({span}, options);
  }
};

TEST_P(OtlpTransport, BringsSpansToACollector) {
  testing::OtlpReceiver receiver;
  const auto transport = To(UrlOf(receiver));
  for (int i = 0; i < 3; ++i) {
    const Sent sent = transport->Send(OneSpan(), kTimeout);
    EXPECT_TRUE(sent.status.ok()) << sent.status;
    EXPECT_EQ(sent.rejected, 0);
  }
  ASSERT_THAT(receiver.spans(), SizeIs(3));
  EXPECT_EQ(receiver.spans()[0].trace, "0af7651916cd43dd8448eb211c80319c");
  EXPECT_EQ(receiver.spans()[0].service, "test");
  EXPECT_THAT(receiver.complaints(), IsEmpty());
}

TEST_P(OtlpTransport, FindsACollectorByItsAddressToo) {
  testing::OtlpReceiver receiver;
  std::string url = UrlOf(receiver);
  url.replace(url.find("localhost"), 9, "127.0.0.1");
  const auto transport = To(url);
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(transport->Send(OneSpan(), kTimeout).status.ok());
  EXPECT_THAT(receiver.spans(), SizeIs(2));
}

TEST_P(OtlpTransport, TellsWhatMayComeAgainFromWhatMayNot) {
  testing::OtlpReceiver receiver;
  const auto transport = To(UrlOf(receiver));
  receiver.SetAnswer([](const auto&, auto&) { return grpc::Status(grpc::StatusCode::UNAVAILABLE, "busy"); });
  receiver.SetRetryAfter(7);
  Sent sent = transport->Send(OneSpan(), kTimeout);
  EXPECT_TRUE(sent.again) << sent.status;
  EXPECT_FALSE(sent.status.ok());
  EXPECT_EQ(sent.after, GetParam() == Endpoint::Protocol::kGrpc ? absl::ZeroDuration() : absl::Seconds(7));
  receiver.SetAnswer([](const auto&, auto&) { return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "no"); });
  sent = transport->Send(OneSpan(), kTimeout);
  EXPECT_FALSE(sent.again) << sent.status;
  EXPECT_FALSE(sent.status.ok());
  receiver.SetAnswer([](const auto&, auto& response) {
    response.mutable_partial_success()->set_rejected_spans(1);
    return grpc::Status::OK;
  });
  sent = transport->Send(OneSpan(), kTimeout);
  EXPECT_TRUE(sent.status.ok()) << sent.status;
  EXPECT_EQ(sent.rejected, 1);
}

TEST_P(OtlpTransport, WhereNobodyListensItMayComeAgain) {
  std::string url;
  {
    testing::OtlpReceiver gone;
    url = UrlOf(gone);
  }
  const Sent sent = To(url)->Send(OneSpan(), kTimeout);
  EXPECT_FALSE(sent.status.ok());
  EXPECT_TRUE(sent.again);
}

TEST_P(OtlpTransport, WaitsNoLongerThanItShall) {
  testing::OtlpReceiver receiver;
  std::mutex stuck;
  std::unique_lock held(stuck);
  receiver.SetAnswer([&stuck](const auto&, auto&) {
    const std::lock_guard wait(stuck);
    return grpc::Status::OK;
  });
  const Sent sent = To(UrlOf(receiver))->Send(OneSpan(), absl::Milliseconds(50));
  EXPECT_FALSE(sent.status.ok());
  EXPECT_TRUE(sent.again) << sent.status;
  held.unlock();
}

TEST_P(OtlpTransport, OverTlsBelievesTheCaThatItWasGivenAndNobodyElse) {
  const testing::TestCa ca, other;
  const testing::Issued certificate = ca.Issue();
  testing::OtlpReceiver receiver(&certificate);
  EXPECT_TRUE(To(UrlOf(receiver), ca.certificate())->Send(OneSpan(), kTimeout).status.ok());
  EXPECT_FALSE(To(UrlOf(receiver), other.certificate())->Send(OneSpan(), absl::Seconds(2)).status.ok());
  EXPECT_FALSE(To(UrlOf(receiver))->Send(OneSpan(), absl::Seconds(2)).status.ok());
  EXPECT_THAT(receiver.spans(), SizeIs(1));
}

TEST_P(OtlpTransport, OverTlsBelievesNoCertificateOfAnotherName) {
  const testing::TestCa ca;
  testing::CertificateRequest wanted;
  wanted.common_name = "elsewhere.example";
  wanted.names = {"DNS:elsewhere.example"};
  const testing::Issued certificate = ca.Issue(wanted);
  testing::OtlpReceiver receiver(&certificate);
  EXPECT_FALSE(To(UrlOf(receiver), ca.certificate())->Send(OneSpan(), absl::Seconds(2)).status.ok());
  EXPECT_THAT(receiver.spans(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Protocols, OtlpTransport,
                         ::testing::Values(Endpoint::Protocol::kGrpc, Endpoint::Protocol::kHttp),
                         [](const auto& of) { return of.param == Endpoint::Protocol::kGrpc ? "Grpc" : "Http"; });

}  // namespace
}  // namespace waybill::otlp
