// waybill webhook endpoint create | list | update | delete | rotate, and webhook list | show | replay | discard | test
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_split.h"
#include "cli/context.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/values.h"
#include "services/process/flags.h"
#include "waybill/webhook/v1/webhook.grpc.pb.h"

namespace waybill::cli {
namespace {

namespace webhook_v1 = waybill::webhook::v1;
using Webhooks = webhook_v1::WebhookService::StubInterface;

std::string EndpointState(const webhook_v1::Endpoint& endpoint) {
  if (!endpoint.enabled()) return "disabled: " + endpoint.disabled_reason();
  if (endpoint.has_failing_since()) return "failing since " + ShowTime(ToTime(endpoint.failing_since()));
  return "enabled";
}

ExitCode ShowEndpoint(const Context& context, const webhook_v1::Endpoint& endpoint) {
  context.PrintLine(context.json ? ToJson(endpoint)
                                 : Printable(fmt::format("{} {} ({}): {}", endpoint.endpoint_id(), endpoint.url(),
                                                         fmt::join(endpoint.types(), " "), EndpointState(endpoint))));
  return ExitCode::kOk;
}

// The secret alone on standard output, so that it can go into a file, and the rest beside.
template <typename Response>
ExitCode ShowSecret(const Context& context, const Response& made) {
  if (context.json) {
    context.PrintLine(ToJson(made));
  } else {
    context.PrintLine(made.secret());
    context.Note(fmt::format("endpoint {}; nobody can read this secret again", made.endpoint().endpoint_id()));
  }
  return ExitCode::kOk;
}

struct EndpointArgs {
  std::string id, url;
  std::vector<std::string> types;
  bool enable = false, disable = false;
  std::string overlap = "1d";
};

ExitCode CreateEndpoint(const Context& context, const EndpointArgs& args) {
  webhook_v1::CreateEndpointRequest request;
  request.set_url(args.url);
  for (const std::string& type : args.types) request.add_types(type);
  absl::StatusOr<webhook_v1::CreateEndpointResponse> made =
      Call<webhook_v1::WebhookService>(context.Once(), context.server, &Webhooks::CreateEndpoint, request);
  return made.ok() ? ShowSecret(context, *made) : FailServer(context, made.status());
}

ExitCode ListEndpoints(const Context& context) {
  bool more = false;
  absl::StatusOr<std::vector<webhook_v1::Endpoint>> found = CallPages<webhook_v1::Endpoint>(
      webhook_v1::ListEndpointsRequest(), 0, more,
      [&](const webhook_v1::ListEndpointsRequest& page, std::vector<webhook_v1::Endpoint>& items, std::string& next) {
        absl::StatusOr<webhook_v1::ListEndpointsResponse> response =
            Call<webhook_v1::WebhookService>(context, context.server, &Webhooks::ListEndpoints, page);
        if (!response.ok()) return response.status();
        for (webhook_v1::Endpoint& endpoint : *response->mutable_endpoints()) items.push_back(std::move(endpoint));
        next = response->next_page_token();
        return absl::OkStatus();
      });
  if (!found.ok()) return FailServer(context, found.status());
  using Overflow = Column::Overflow;
  Table table({{"ENDPOINT"},
               {"CLIENT"},
               {"URL", Column::Align::kLeft, Overflow::kCut},
               {"TYPES", Column::Align::kLeft, Overflow::kWrap},
               {"STATE", Column::Align::kLeft, Overflow::kWrap}});
  for (const webhook_v1::Endpoint& endpoint : *found) {
    if (context.json) {
      context.PrintLine(ToJson(endpoint));
    } else {
      table.Add({endpoint.endpoint_id(), endpoint.client(), endpoint.url(),
                 fmt::format("{}", fmt::join(endpoint.types(), " ")), EndpointState(endpoint)});
    }
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  if (found->empty()) context.Note("there are no endpoints");
  return ExitCode::kOk;
}

ExitCode UpdateEndpoint(const Context& context, const EndpointArgs& args) {
  webhook_v1::UpdateEndpointRequest request;
  request.set_endpoint_id(args.id);
  request.set_url(args.url);
  for (const std::string& type : args.types) request.add_types(type);
  if (args.enable || args.disable) request.set_enabled(args.enable);
  absl::StatusOr<webhook_v1::Endpoint> changed =
      Call<webhook_v1::WebhookService>(context, context.server, &Webhooks::UpdateEndpoint, request);
  return changed.ok() ? ShowEndpoint(context, *changed) : FailServer(context, changed.status());
}

ExitCode DeleteEndpoint(const Context& context, const std::string& id) {
  webhook_v1::DeleteEndpointRequest request;
  request.set_endpoint_id(id);
  absl::StatusOr<webhook_v1::DeleteEndpointResponse> gone =
      Call<webhook_v1::WebhookService>(context.Once(), context.server, &Webhooks::DeleteEndpoint, request);
  if (!gone.ok()) return FailServer(context, gone.status());
  context.Note(fmt::format("endpoint {} is deleted", id));
  return ExitCode::kOk;
}

ExitCode RotateSecret(const Context& context, const EndpointArgs& args) {
  webhook_v1::RotateSecretRequest request;
  request.set_endpoint_id(args.id);
  absl::StatusOr<absl::Duration> overlap =
      args.overlap == "0" ? absl::ZeroDuration() : ForOption("--overlap", ParseDuration(args.overlap));
  if (!overlap.ok()) return context.Fail(overlap.status());
  request.mutable_overlap()->set_seconds(absl::ToInt64Seconds(*overlap));
  request.mutable_overlap()->set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(*overlap % absl::Seconds(1))));
  absl::StatusOr<webhook_v1::RotateSecretResponse> made =
      Call<webhook_v1::WebhookService>(context.Once(), context.server, &Webhooks::RotateSecret, request);
  return made.ok() ? ShowSecret(context, *made) : FailServer(context, made.status());
}

std::string StateName(webhook_v1::DeliveryState state) {
  std::string name = webhook_v1::DeliveryState_Name(state);
  for (char& c : name) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return name;
}

std::string ShowOutcome(const webhook_v1::Delivery& delivery) {
  if (!delivery.reason().empty()) return delivery.reason();
  if (delivery.last_code() != 0) return fmt::format("HTTP {} {}", delivery.last_code(), delivery.last_answer());
  return delivery.last_answer();
}

ExitCode ShowDelivery(const Context& context, const absl::StatusOr<webhook_v1::Delivery>& delivery) {
  if (!delivery.ok()) return FailServer(context, delivery.status());
  if (context.json) {
    context.PrintLine(ToJson(*delivery));
    return ExitCode::kOk;
  }
  std::string text = fmt::format("{} to {}\n{}, {} attempts", delivery->webhook_id(), delivery->endpoint_id(),
                                 StateName(delivery->state()), delivery->attempts());
  if (delivery->has_next_attempt_time())
    text += fmt::format(", next {}", ShowTime(ToTime(delivery->next_attempt_time())));
  if (const std::string outcome = ShowOutcome(*delivery); !outcome.empty()) text += "\n" + outcome;
  for (const absl::string_view line : absl::StrSplit(absl::string_view(text), '\n')) {
    context.PrintLine(Printable(std::string(line)));
  }
  if (!delivery->body().empty()) context.PrintLine(Printable(delivery->body()));
  return ExitCode::kOk;
}

struct DeliveryArgs {
  std::string endpoint, id, state, reason;
  size_t limit = 50;
  bool dead = false;
  int per_second = 10;
};

ExitCode ListDeliveries(const Context& context, const DeliveryArgs& args) {
  webhook_v1::ListDeliveriesRequest request;
  request.set_endpoint_id(args.endpoint);
  for (int state = webhook_v1::DeliveryState_MIN; state <= webhook_v1::DeliveryState_MAX; ++state) {
    if (StateName(static_cast<webhook_v1::DeliveryState>(state)) == args.state) {
      request.set_state(static_cast<webhook_v1::DeliveryState>(state));
    }
  }
  bool more = false;
  absl::StatusOr<std::vector<webhook_v1::Delivery>> found = CallPages<webhook_v1::Delivery>(
      request, args.limit, more,
      [&](const webhook_v1::ListDeliveriesRequest& page, std::vector<webhook_v1::Delivery>& items, std::string& next) {
        absl::StatusOr<webhook_v1::ListDeliveriesResponse> response =
            Call<webhook_v1::WebhookService>(context, context.server, &Webhooks::ListDeliveries, page);
        if (!response.ok()) return response.status();
        for (webhook_v1::Delivery& delivery : *response->mutable_deliveries()) items.push_back(std::move(delivery));
        next = response->next_page_token();
        return absl::OkStatus();
      });
  if (!found.ok()) return FailServer(context, found.status());
  using Overflow = Column::Overflow;
  Table table({{"ENDPOINT"},
               {"WEBHOOK-ID"},
               {"STATE"},
               {"ATTEMPTS", Column::Align::kRight},
               {"NEXT"},
               {"OUTCOME", Column::Align::kLeft, Overflow::kCut}});
  for (const webhook_v1::Delivery& delivery : *found) {
    if (context.json) {
      context.PrintLine(ToJson(delivery));
    } else {
      table.Add({delivery.endpoint_id(), delivery.webhook_id(), StateName(delivery.state()),
                 fmt::format("{}", delivery.attempts()),
                 delivery.has_next_attempt_time() ? ShowTime(ToTime(delivery.next_attempt_time())) : std::string(),
                 ShowOutcome(delivery)});
    }
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  if (found->empty()) context.Note("there are no such deliveries");
  if (more) context.Note("there are more: --limit");
  return ExitCode::kOk;
}

ExitCode ReplayDeliveries(const Context& context, const DeliveryArgs& args) {
  if (args.dead == !args.id.empty()) {
    return context.Fail(
        absl::InvalidArgumentError("name one delivery by its webhook-id, or give --dead for all that are"));
  }
  if (!args.dead) {
    webhook_v1::ReplayDeliveryRequest request;
    request.set_endpoint_id(args.endpoint);
    request.set_webhook_id(args.id);
    return ShowDelivery(context,
                        Call<webhook_v1::WebhookService>(context, context.server, &Webhooks::ReplayDelivery, request));
  }
  webhook_v1::ReplayDeliveriesRequest request;
  request.set_endpoint_id(args.endpoint);
  request.set_per_second(args.per_second);
  absl::StatusOr<webhook_v1::ReplayDeliveriesResponse> replayed =
      Call<webhook_v1::WebhookService>(context, context.server, &Webhooks::ReplayDeliveries, request);
  if (!replayed.ok()) return FailServer(context, replayed.status());
  context.PrintLine(context.json ? ToJson(*replayed) : fmt::format("{} are sent again", replayed->replayed()));
  return ExitCode::kOk;
}

CLI::Option* AddEndpointId(CLI::App& command, std::string& id) {
  return command.add_option("endpoint", id, "The endpoint")->required()->type_name("ENDPOINT");
}

void AddTypes(CLI::App& command, EndpointArgs& args) {
  command.add_option("--type", args.types, "Of events: order.confirmed, say, or order.*, payment.*, or *; many times")
      ->allow_extra_args(false)
      ->type_name("TYPE");
}

void AddEndpointCommands(CLI::App& webhook, Context& context) {
  CLI::App* group = webhook.add_subcommand("endpoint", "Where a client is told of its orders");
  group->require_subcommand(1);
  group->footer("`waybill webhook endpoint COMMAND --help` explains each command with examples.");

  auto created = std::make_shared<EndpointArgs>();
  CLI::App* create = group->add_subcommand("create", "Register an endpoint; its secret is printed once");
  create->add_option("url", created->url, "https://HOST[:PORT]/PATH")->required()->type_name("URL");
  AddTypes(*create, *created);
  create->footer(
      "Example:\n  waybill webhook endpoint create https://shop.example/hooks --type 'order.*' >hooks.secret\n\n"
      "The secret alone is on standard output. What happens to orders from 15 s later on is told.");
  create->callback([&context, created] {
    if (created->types.empty()) created->types = {"*"};
    context.run = [&context, created] { return CreateEndpoint(context, *created); };
  });

  CLI::App* list = group->add_subcommand("list", "List endpoints, oldest first");
  list->footer("Example:\n  waybill webhook endpoint list --json | jq -r 'select(.enabled | not).url'");
  list->callback([&context] { context.run = [&context] { return ListEndpoints(context); }; });

  auto updated = std::make_shared<EndpointArgs>();
  CLI::App* update = group->add_subcommand("update", "Change where it is, what it is told, or whether");
  AddEndpointId(*update, updated->id);
  update->add_option("--url", updated->url, "https://HOST[:PORT]/PATH")->type_name("URL");
  AddTypes(*update, *updated);
  CLI::Option* enable = update->add_flag("--enable", updated->enable, "Tell it of what happens from now on");
  update->add_flag("--disable", updated->disable, "Tell it nothing; what waits ends up dead")->excludes(enable);
  update->footer(
      "Example:\n  waybill webhook endpoint update 019c2c7e-2a4f-7a31-9c1b-3f1f5b0d6a11 --enable\n\n"
      "What died while it was disabled: `waybill webhook replay ENDPOINT --dead`.");
  update->callback(
      [&context, updated] { context.run = [&context, updated] { return UpdateEndpoint(context, *updated); }; });

  auto id = std::make_shared<std::string>();
  CLI::App* remove = group->add_subcommand("delete", "Delete an endpoint, its secrets, and what waits for it");
  AddEndpointId(*remove, *id);
  remove->footer("Example:\n  waybill webhook endpoint delete 019c2c7e-2a4f-7a31-9c1b-3f1f5b0d6a11");
  remove->callback([&context, id] { context.run = [&context, id] { return DeleteEndpoint(context, *id); }; });

  auto rotated = std::make_shared<EndpointArgs>();
  CLI::App* rotate = group->add_subcommand("rotate", "Make another secret; both sign for a while");
  AddEndpointId(*rotate, rotated->id);
  rotate->add_option("--overlap", rotated->overlap, "How long the one before signs, too, up to 30d; 0: not at all")
      ->capture_default_str()
      ->type_name("DURATION");
  rotate->footer(
      "Example:\n  waybill webhook endpoint rotate 019c2c7e-2a4f-7a31-9c1b-3f1f5b0d6a11 --overlap 7d "
      ">hooks.secret.new");
  rotate->callback(
      [&context, rotated] { context.run = [&context, rotated] { return RotateSecret(context, *rotated); }; });
}

}  // namespace

void AddWebhookCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("webhook", "Tell clients of their orders by HTTP");
  group->require_subcommand(1);
  group->footer("`waybill webhook COMMAND --help` explains each command with examples.");
  AddEndpointCommands(*group, context);

  auto listed = std::make_shared<DeliveryArgs>();
  CLI::App* list = group->add_subcommand("list", "List deliveries, by endpoint and order");
  list->add_option("--endpoint", listed->endpoint, "To this endpoint alone")->type_name("ENDPOINT");
  list->add_option("--state", listed->state, "Those that stand so")
      ->check(CLI::IsMember({"waiting", "delivered", "dead", "discarded"}));
  process::AddInteger(*list, "--limit", listed->limit, "How many at most; 0: all")
      ->capture_default_str()
      ->type_name("N");
  list->footer("Example:\n  waybill webhook list --state dead");
  list->callback([&context, listed] { context.run = [&context, listed] { return ListDeliveries(context, *listed); }; });

  auto shown = std::make_shared<DeliveryArgs>();
  CLI::App* show = group->add_subcommand("show", "Show a delivery: its body, and what was answered last");
  AddEndpointId(*show, shown->endpoint);
  show->add_option("id", shown->id, "Its webhook-id")->required()->type_name("WEBHOOK-ID");
  show->footer(
      "Example:\n  waybill webhook show 019c2c7e-2a4f-7a31-9c1b-3f1f5b0d6a11 "
      "evt_019c2c80-0d5e-7cc3-a1ff-6f1b8a4f2a55_order_confirmed");
  show->callback([&context, shown] {
    context.run = [&context, shown] {
      webhook_v1::GetDeliveryRequest request;
      request.set_endpoint_id(shown->endpoint);
      request.set_webhook_id(shown->id);
      return ShowDelivery(context,
                          Call<webhook_v1::WebhookService>(context, context.server, &Webhooks::GetDelivery, request));
    };
  });

  auto replayed = std::make_shared<DeliveryArgs>();
  CLI::App* replay = group->add_subcommand("replay", "Send again, with the same webhook-id");
  AddEndpointId(*replay, replayed->endpoint);
  replay->add_option("id", replayed->id, "One of them")->type_name("WEBHOOK-ID");
  replay->add_flag("--dead", replayed->dead, "All that are dead, 10,000 at most");
  process::AddInteger(*replay, "--per-second", replayed->per_second, "How many of those a second")
      ->check(CLI::Range(1, 1'000))
      ->capture_default_str()
      ->type_name("N");
  replay->footer(
      "Examples:\n"
      "  waybill webhook replay 019c2c7e-2a4f-7a31-9c1b-3f1f5b0d6a11 "
      "evt_019c2c80-0d5e-7cc3-a1ff-6f1b8a4f2a55_order_confirmed\n"
      "  waybill webhook replay 019c2c7e-2a4f-7a31-9c1b-3f1f5b0d6a11 --dead --per-second 50");
  replay->callback(
      [&context, replayed] { context.run = [&context, replayed] { return ReplayDeliveries(context, *replayed); }; });

  auto discarded = std::make_shared<DeliveryArgs>();
  CLI::App* discard = group->add_subcommand("discard", "Give up what waits or is dead, with a reason");
  AddEndpointId(*discard, discarded->endpoint);
  discard->add_option("id", discarded->id, "Its webhook-id")->required()->type_name("WEBHOOK-ID");
  discard->add_option("--reason", discarded->reason, "Why")->required()->type_name("TEXT");
  discard->footer(
      "Example:\n  waybill webhook discard 019c2c7e-2a4f-7a31-9c1b-3f1f5b0d6a11 "
      "evt_019c2c80-0d5e-7cc3-a1ff-6f1b8a4f2a55_order_confirmed --reason 'booked by hand'");
  discard->callback([&context, discarded] {
    context.run = [&context, discarded] {
      webhook_v1::DiscardDeliveryRequest request;
      request.set_endpoint_id(discarded->endpoint);
      request.set_webhook_id(discarded->id);
      request.set_reason(discarded->reason);
      return ShowDelivery(
          context, Call<webhook_v1::WebhookService>(context, context.server, &Webhooks::DiscardDelivery, request));
    };
  });

  auto tested = std::make_shared<std::string>();
  CLI::App* test = group->add_subcommand("test", "Send an endpoint an event of the type webhook.test");
  AddEndpointId(*test, *tested);
  test->footer(
      "Example:\n  waybill webhook test 019c2c7e-2a4f-7a31-9c1b-3f1f5b0d6a11\n\n"
      "What became of it: `waybill webhook show`, with both ids that this prints.");
  test->callback([&context, tested] {
    context.run = [&context, tested] {
      webhook_v1::SendTestRequest request;
      request.set_endpoint_id(*tested);
      return ShowDelivery(
          context, Call<webhook_v1::WebhookService>(context.Once(), context.server, &Webhooks::SendTest, request));
    };
  });
}

}  // namespace waybill::cli
