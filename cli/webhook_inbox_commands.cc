// waybill webhook inbox list | show
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"
#include "cli/context.h"
#include "cli/money.h"
#include "cli/remote.h"
#include "cli/table.h"
#include "cli/values.h"
#include "services/process/flags.h"
#include "waybill/ops/v1/webhook_inbox.grpc.pb.h"

namespace waybill::cli {
namespace {

namespace inbox_v1 = waybill::ops::v1;
using Inbox = inbox_v1::WebhookInboxAdmin::StubInterface;

std::string EventStateName(inbox_v1::WebhookEventState state) {
  return absl::AsciiStrToLower(inbox_v1::WebhookEventState_Name(state));
}

std::string AmountOf(const inbox_v1::WebhookEvent& event) {
  if (!event.has_amount_minor()) return event.currency();
  return ShowMoney(event.amount_minor(), event.currency());
}

// What it was found to be about, or else what it names.
std::string About(const inbox_v1::WebhookEvent& event) {
  if (!event.order_id().empty()) return event.order_id();
  return event.payment_key().empty() ? event.payment_token() : event.payment_key();
}

struct EventArgs {
  std::string gateway, id, state, order;
  size_t limit = 50;
};

ExitCode ListEvents(const Context& context, const EventArgs& args) {
  inbox_v1::ListWebhookEventsRequest request;
  request.set_gateway(args.gateway);
  request.set_event_id(args.id);
  request.set_order_id(args.order);
  for (int state = inbox_v1::WebhookEventState_MIN; state <= inbox_v1::WebhookEventState_MAX; ++state) {
    if (EventStateName(static_cast<inbox_v1::WebhookEventState>(state)) == args.state) {
      request.set_state(static_cast<inbox_v1::WebhookEventState>(state));
    }
  }
  bool more = false;
  absl::StatusOr<std::vector<inbox_v1::WebhookEvent>> found = CallPages<inbox_v1::WebhookEvent>(
      request, args.limit, more,
      [&](const inbox_v1::ListWebhookEventsRequest& page, std::vector<inbox_v1::WebhookEvent>& items,
          std::string& next) {
        absl::StatusOr<inbox_v1::ListWebhookEventsResponse> response =
            Call<inbox_v1::WebhookInboxAdmin>(context, context.server, &Inbox::ListWebhookEvents, page);
        if (!response.ok()) return response.status();
        for (inbox_v1::WebhookEvent& event : *response->mutable_events()) items.push_back(std::move(event));
        next = response->next_page_token();
        return absl::OkStatus();
      });
  if (!found.ok()) return FailServer(context, found.status());
  using Overflow = Column::Overflow;
  Table table({{"RECEIVED"},
               {"GATEWAY"},
               {"EVENT"},
               {"TYPE", Column::Align::kLeft, Overflow::kWrap},
               {"STATE"},
               {"REASON", Column::Align::kLeft, Overflow::kWrap},
               {"AMOUNT", Column::Align::kRight},
               {"ABOUT", Column::Align::kLeft, Overflow::kCut}});
  for (const inbox_v1::WebhookEvent& event : *found) {
    if (context.json) {
      context.PrintLine(ToJson(event));
    } else {
      table.Add({ShowTime(ToTime(event.receive_time())), event.gateway(), event.event_id(), event.type(),
                 EventStateName(event.state()), event.reason(), AmountOf(event), About(event)});
    }
  }
  if (!table.empty()) context.Print(table.Render(context.out));
  if (found->empty()) context.Note("there are no such events");
  if (more) context.Note("there are more: --limit");
  return ExitCode::kOk;
}

ExitCode ShowEvent(const Context& context, const EventArgs& args) {
  inbox_v1::GetWebhookEventRequest request;
  request.set_gateway(args.gateway);
  request.set_event_id(args.id);
  absl::StatusOr<inbox_v1::WebhookEvent> event =
      Call<inbox_v1::WebhookInboxAdmin>(context, context.server, &Inbox::GetWebhookEvent, request);
  if (!event.ok()) return FailServer(context, event.status());
  if (context.json) {
    context.PrintLine(ToJson(*event));
    return ExitCode::kOk;
  }
  std::vector<std::string> lines = {
      fmt::format("{} {} of {}, received {}", event->event_id(), event->type(), event->gateway(),
                  ShowTime(ToTime(event->receive_time()))),
      EventStateName(event->state()) + (event->reason().empty() ? "" : ": " + event->reason())};
  const auto add = [&lines](const char* name, const std::string& value) {
    if (!value.empty()) lines.push_back(fmt::format("{}: {}", name, value));
  };
  add("order", event->order_id());
  add("key", event->payment_key());
  add("token", event->payment_token());
  add("amount", AmountOf(*event));
  if (event->has_next_look_time()) {
    lines.push_back(
        fmt::format("looked at {} times, next {}", event->attempts(), ShowTime(ToTime(event->next_look_time()))));
  }
  for (const std::string& line : lines) context.PrintLine(Printable(line));
  for (const absl::string_view line : absl::StrSplit(absl::string_view(event->body()), '\n')) {
    context.PrintLine(Printable(std::string(line)));
  }
  return ExitCode::kOk;
}

}  // namespace

void AddWebhookInboxCommands(CLI::App& app, Context& context) {
  CLI::App* group =
      app.get_subcommand("webhook")->add_subcommand("inbox", "For operators: what gateways said by webhook");
  group->require_subcommand(1);
  group->footer("`waybill webhook inbox COMMAND --help` explains each command with examples.");

  auto listed = std::make_shared<EventArgs>();
  CLI::App* list = group->add_subcommand("list", "List events, the newest first, without their bodies");
  list->add_option("--state", listed->state, "Those that stand so")
      ->check(CLI::IsMember({"new", "unmatched", "signalled", "late", "ignored", "attention"}));
  list->add_option("--gateway", listed->gateway, "Of this gateway alone")->type_name("NAME");
  list->add_option("--event", listed->id, "The one that the gateway calls so")->type_name("EVENT")->needs("--gateway");
  list->add_option("--order", listed->order, "Those that were found to be about this order")->type_name("ID");
  process::AddInteger(*list, "--limit", listed->limit, "At most so many; 0: all")
      ->capture_default_str()
      ->type_name("N");
  list->footer(
      "Examples:\n"
      "  waybill webhook inbox list --state attention\n"
      "  waybill webhook inbox list --order 01939f6e-0000-7000-8000-000000000001\n"
      "\n"
      "unmatched: no payment has its key or token yet. late: its order had been decided before. attention: a person "
      "has "
      "to\n"
      "look; `waybill dead` has those, too, and what to do about them. With --json amounts are in minor units.");
  list->callback([&context, listed] { context.run = [&context, listed] { return ListEvents(context, *listed); }; });

  auto shown = std::make_shared<EventArgs>();
  CLI::App* show = group->add_subcommand("show", "Show an event with its body; that you did is in the audit");
  show->add_option("gateway", shown->gateway, "The gateway that said it")->required()->type_name("GATEWAY");
  show->add_option("event", shown->id, "What it calls it")->required()->type_name("EVENT");
  show->footer(
      "Examples:\n"
      "  waybill webhook inbox show north evt_pi_42\n"
      "  waybill webhook inbox show north evt_pi_42 --json | jq -r '.body | @base64d'\n"
      "\n"
      "A body may have a payer's data in it: `waybill audit list --action event.read` says who has read which.");
  show->callback([&context, shown] { context.run = [&context, shown] { return ShowEvent(context, *shown); }; });
}

}  // namespace waybill::cli
