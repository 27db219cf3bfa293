// waybill gateway list | drain | undrain | weight
#include <memory>
#include <string>
#include <utility>

#include "cli/context.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/values.h"
#include "services/process/flags.h"
#include "waybill/ops/v1/ops.grpc.pb.h"

namespace waybill::cli {
namespace {

namespace gateway_v1 = waybill::ops::v1;
using GatewayAdmin = gateway_v1::GatewayAdmin::StubInterface;

absl::Duration ToDuration(const google::protobuf::Duration& from) {
  return absl::Seconds(from.seconds()) + absl::Nanoseconds(from.nanos());
}

std::string ShowHealth(const gateway_v1::Gateway& gateway) {
  if (gateway.has_out_for()) return "out for " + ShowDuration(ToDuration(gateway.out_for()));
  return gateway.answers() + gateway.failures() > 0 ? "answers" : "not asked yet";
}

// What it says of itself.
std::string ShowProbe(const gateway_v1::Gateway& gateway) {
  if (!gateway.has_probe()) return "";
  const gateway_v1::GatewayProbe& probe = gateway.probe();
  const std::string ago = ShowDuration(ToDuration(probe.age())) + " ago";
  if (probe.outcome() == "not_served") return "not asked: has no health check";
  if (probe.outcome() == "no_answer") return "no answer, " + ago;
  if (probe.outcome() == "limited") return "asked too often, " + ago;
  std::string says = probe.outcome();
  if (ToDuration(probe.min_response()) > absl::ZeroDuration())
    says += fmt::format(", takes {} at least", ShowDuration(ToDuration(probe.min_response())));
  return fmt::format("{}, {}", says, ago);
}

ExitCode ListGateways(const Context& context) {
  auto listed = Call<gateway_v1::GatewayAdmin>(context, context.server, &GatewayAdmin::ListGateways,
                                               gateway_v1::ListGatewaysRequest());
  if (!listed.ok()) return FailServer(context, listed.status());
  using Align = Column::Align;
  Table table({{"GATEWAY"},
               {"WEIGHT", Align::kRight},
               {"COST PPM", Align::kRight},
               {"TAKES ORDERS"},
               {"CAPTURES"},
               {"HEALTH"},
               {"SAYS"},
               {"LATENCY", Align::kRight},
               {"ANSWERED", Align::kRight},
               {"FAILED", Align::kRight},
               {"ADDRESS"}});
  for (const gateway_v1::Gateway& gateway : listed->gateways()) {
    if (context.json) {
      context.PrintLine(ToJson(gateway));
      continue;
    }
    table.Add({gateway.name(), fmt::format("{}", gateway.weight()), fmt::format("{}", gateway.cost_ppm()),
               gateway.drained()    ? Cell("drained", Style::kWaiting)
               : gateway.fallback() ? Cell("as fallback")
                                    : Cell("yes"),
               gateway.capture_later() ? "later" : "at once",
               Cell(ShowHealth(gateway), gateway.has_out_for() ? Style::kBad : Style::kPlain),
               Cell(ShowProbe(gateway), gateway.probe().outcome() == "failing" ? Style::kBad : Style::kPlain),
               gateway.has_median_latency() ? ShowDuration(ToDuration(gateway.median_latency())) : "",
               fmt::format("{}", gateway.answers()), fmt::format("{}", gateway.failures()), gateway.address()});
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  if (listed->gateways().empty()) context.Note("the service has one payment gateway, and no file of several");
  return ExitCode::kOk;
}

ExitCode TellOfGateway(const Context& context, const absl::StatusOr<gateway_v1::Gateway>& gateway) {
  if (!gateway.ok()) return FailServer(context, gateway.status());
  if (context.json) {
    context.PrintLine(ToJson(*gateway));
  } else {
    context.PrintLine(fmt::format("{} has weight {} and {}.", gateway->name(), gateway->weight(),
                                  gateway->drained() ? "takes no new orders" : "takes orders"));
  }
  return ExitCode::kOk;
}

template <typename Request, typename Method>
ExitCode Tell(const Context& context, Method method, const std::string& name) {
  Request request;
  request.set_gateway(name);
  return TellOfGateway(context, Call<gateway_v1::GatewayAdmin>(context, context.server, method, request));
}

ExitCode SetWeight(const Context& context, const std::string& name, int weight) {
  gateway_v1::SetGatewayWeightRequest request;
  request.set_gateway(name);
  request.set_weight(weight);
  return TellOfGateway(
      context, Call<gateway_v1::GatewayAdmin>(context, context.server, &GatewayAdmin::SetGatewayWeight, request));
}

}  // namespace

void AddGatewayCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("gateway", "Which payment gateways new orders go to, where there are several");
  group->require_subcommand(1);
  group->footer("`waybill gateway COMMAND --help` explains each command with examples.");

  CLI::App* list = group->add_subcommand("list", "List gateways: weight, what they take, and how they fare");
  list->footer(
      "Example:\n"
      "  waybill gateway list\n"
      "\n"
      "CAPTURES: one that does so later holds the money first, and takes it when the order has its driver.\n"
      "Health, latency and counts are what the replica that answers has seen since it began. What a gateway says of\n"
      "itself it says to whichever replica asks; all hear it.");
  list->callback([&context] { context.run = [&context] { return ListGateways(context); }; });

  auto drained = std::make_shared<std::string>();
  CLI::App* drain = group->add_subcommand("drain", "Send no new orders to a gateway; those that are there end there");
  drain->add_option("gateway", *drained, "Its name")->required();
  drain->footer(
      "Example:\n"
      "  waybill gateway drain north\n"
      "\n"
      "Every replica follows within a second or two, and still after a restart.");
  drain->callback([&context, drained] {
    context.run = [&context, drained] {
      return Tell<gateway_v1::DrainGatewayRequest>(context, &GatewayAdmin::DrainGateway, *drained);
    };
  });

  auto undrained = std::make_shared<std::string>();
  CLI::App* undrain = group->add_subcommand("undrain", "Send orders to a gateway again");
  undrain->add_option("gateway", *undrained, "Its name")->required();
  undrain->footer(
      "Example:\n"
      "  waybill gateway undrain north");
  undrain->callback([&context, undrained] {
    context.run = [&context, undrained] {
      return Tell<gateway_v1::UndrainGatewayRequest>(context, &GatewayAdmin::UndrainGateway, *undrained);
    };
  });

  struct WeightArgs {
    std::string name;
    int weight = 0;
  };
  auto args = std::make_shared<WeightArgs>();
  CLI::App* weight = group->add_subcommand("weight", "Set a gateway's share beside others that are as good");
  weight->add_option("gateway", args->name, "Its name")->required();
  weight->add_option("weight", args->weight, "1 to 1000; 0: the one in the gateways file again")
      ->required()
      ->check(CLI::Range(0, 1000));
  weight->footer(
      "Example:\n"
      "  waybill gateway weight north 300\n"
      "\n"
      "It counts in place of the weight in the gateways file, from now on.");
  weight->callback(
      [&context, args] { context.run = [&context, args] { return SetWeight(context, args->name, args->weight); }; });
}

}  // namespace waybill::cli
