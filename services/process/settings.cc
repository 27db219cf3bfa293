#include "services/process/settings.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <map>
#include <regex>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "fmt/format.h"
#include "runtime/failpoint.h"
#include "runtime/text.h"
#include "runtime/toml.h"

namespace waybill::process {
namespace {

std::string NameOf(const CLI::Option& option) { return option.get_lnames().front(); }

// log-level: LOG_LEVEL.
std::string Upper(std::string name) {
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return c == '-' ? '_' : static_cast<char>(std::toupper(c)); });
  return name;
}

bool IsFlag(const CLI::Option& option) { return option.get_expected_min() == 0; }

bool IsList(const CLI::Option& option) { return !IsFlag(option) && option.get_expected_max() > 1; }

std::string DefaultOf(const CLI::Option& option) {
  return IsFlag(option) && option.get_default_str().empty() ? "false" : option.get_default_str();
}

bool InEnvironment(const CLI::Option& option) {
  const char* value = std::getenv(option.get_envname().c_str());
  return value != nullptr && *value != '\0';
}

// Among the flags, with a value behind it or in it.
bool IsGiven(const std::vector<std::string>& flags, const std::string& name) {
  const std::string flag = "--" + name;
  return std::any_of(flags.begin(), flags.end(),
                     [&](const std::string& given) { return given == flag || given.starts_with(flag + "="); });
}

// As a whole: --backoff is not named by --backoff-max.
bool Names(std::string_view message, std::string_view flag) {
  for (size_t at = 0; (at = message.find(flag, at)) != std::string_view::npos; at += flag.size()) {
    const std::string_view rest = message.substr(at + flag.size());
    if (rest.empty() || (std::isalnum(static_cast<unsigned char>(rest.front())) == 0 && rest.front() != '-'))
      return true;
  }
  return false;
}

std::string ValueOf(const std::vector<std::string>& flags, const std::string& name) {
  const std::string flag = "--" + name;
  for (size_t i = 0; i < flags.size(); ++i) {
    if (flags[i].starts_with(flag + "=")) return flags[i].substr(flag.size() + 1);
    if (flags[i] == flag && i + 1 < flags.size()) return flags[i + 1];
  }
  return "";
}

enum class Kind { kTruth, kWhole, kNumber, kText };

struct Type {
  Kind kind;
  std::string name;  // for people
};

// From what CLI11 says of an option's type and checks: "INT:INT in [1 - 64]", "TEXT:{debug,info}".
Type TypeOf(const CLI::Option& option) {
  if (IsFlag(option)) return {Kind::kTruth, "true or false"};
  static const std::map<std::string, Type> types = {{"INT", {Kind::kWhole, "whole number"}},
                                                    {"UINT", {Kind::kWhole, "whole number"}},
                                                    {"MS", {Kind::kWhole, "milliseconds"}},
                                                    {"FLOAT", {Kind::kNumber, "number"}},
                                                    {"SHARE", {Kind::kNumber, "number, 0 to 1"}},
                                                    {"DURATION", {Kind::kText, "duration"}},
                                                    {"FILE", {Kind::kText, "file"}},
                                                    {"TEXT", {Kind::kText, "text"}}};
  static const std::regex range("(\\w+):\\w+ in \\[(.+) - (.+)\\]"), choice("TEXT:\\{(.+)\\}");
  const std::string said = option.get_type_name();
  if (std::smatch of; std::regex_match(said, of, choice)) {
    return {Kind::kText, (IsList(option) ? "list of " : "") + std::regex_replace(of[1].str(), std::regex(","), ", ")};
  }
  std::smatch of;
  const bool limited = std::regex_match(said, of, range);
  const auto known = types.find(limited ? of[1].str() : said);
  Type type = known != types.end() ? known->second : Type{Kind::kText, said};
  if (limited) type.name += fmt::format(", {} to {}", of[2].str(), of[3].str());
  if (IsList(option)) type.name = "list of " + type.name;
  return type;
}

// What the line says, as it would stand behind the flag; or why it cannot be a value of this kind. A number may be
// quoted, since TOML's are smaller than some of ours.
absl::StatusOr<std::string> TextOf(const toml::node& node, Kind kind) {
  const auto wrong = [](const char* what) { return absl::InvalidArgumentError(what); };
  if (const auto* truth = node.as_boolean()) {
    if (kind != Kind::kTruth) return wrong("is true or false, which says nothing here");
    return truth->get() ? "true" : "false";
  }
  if (kind == Kind::kTruth) return wrong("is neither true nor false");
  if (const auto* text = node.as_string()) {
    if (text->get().empty()) return wrong("is empty: leave the line out instead");
    return text->get();
  }
  if (kind == Kind::kText) return wrong("is not in quotes");
  if (const auto* whole = node.as_integer()) return fmt::format("{}", whole->get());
  if (const auto* number = node.as_floating_point(); number != nullptr && kind == Kind::kNumber) {
    return fmt::format("{}", number->get());
  }
  return wrong(kind == Kind::kNumber ? "is not a number" : "is not a whole number");
}

// How many letters have to be put in, taken out or exchanged.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t above_left = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t exchanged = above_left + (a[i - 1] == b[j - 1] ? 0 : 1);
      above_left = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, exchanged}));
    }
  }
  return row.back();
}

// As TOML takes it.
std::string Quoted(const std::string& value) {
  std::string quoted = "\"";
  for (const char c : value) {
    if (c == '"' || c == '\\') {
      quoted += {'\\', c};
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      quoted += fmt::format("\\u{:04x}", c);
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

// Digits, perhaps with a sign and a point among them, and few enough for TOML.
bool IsPlainNumber(std::string_view text) {
  constexpr size_t kDigitsMax = 18;
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  const std::string_view whole = text.substr(0, text.find('.'));
  const std::string_view fraction = text.substr(std::min(whole.size() + 1, text.size()));
  const auto digits = [](std::string_view part) {
    return !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
  };
  return text.size() <= kDigitsMax && digits(whole) && (whole == "0" || whole.front() != '0') &&
         (whole.size() == text.size() || digits(fraction));
}

// The value as the file would have it: bare where TOML has such a thing.
std::string LineOf(const CLI::Option& option, const std::string& value) {
  if (IsList(option)) {
    std::vector<std::string> values;
    for (const absl::string_view one : absl::StrSplit(value, ',')) values.push_back(Quoted(std::string(one)));
    return fmt::format("[{}]", fmt::join(values, ", "));
  }
  const Kind kind = TypeOf(option).kind;
  return kind == Kind::kTruth || (kind != Kind::kText && IsPlainNumber(value)) ? value : Quoted(value);
}

std::string ForTable(std::string text) {
  for (size_t at = 0; (at = text.find('|', at)) != std::string::npos; at += 2) text.insert(at, "\\");
  return text;
}

}  // namespace

Settings::Settings(CLI::App& app, const std::string& prefix, const Build& build) : app_(app) {
  Adopt(app, prefix);
  for (CLI::App* group : app.get_subcommands([](CLI::App*) { return true; })) Adopt(*group, prefix);
  config_ = app.add_option("--config", "TOML file with settings, each named like its flag: log-level = \"debug\"")
                ->type_name("FILE")
                ->envname(prefix + "CONFIG")
                ->configurable(false);
  app.add_flag("--print-config", print_, "Print what is in force and where it comes from, as TOML, and exit")
      ->configurable(false);
  app.add_flag("--list-settings", list_, "Print all settings as a Markdown table, and exit")->configurable(false);
  app.add_flag_callback(
         "--list-failpoints",
         [] {
           std::string names = ListFailpoints();
           while (names.ends_with('\n')) names.pop_back();
           throw CLI::CallForVersion(names, 0);  // printed, and that is all
         },
         "Print the names of the compiled-in failpoints, and exit")
      ->configurable(false);
  app.set_version_flag("--version", Describe(app.get_name(), build), "Print version and commit, and exit");
}

void Settings::Adopt(CLI::App& group, const std::string& prefix) {
  for (CLI::Option* option : group.get_options()) {
    if (!option->get_fnames().empty()) std::abort();  // a flag that turns its variable and line around: a bug
    const bool mine = option->get_configurable() && !option->get_lnames().empty() && option != group.get_help_ptr() &&
                      option != group.get_version_ptr();
    if (!mine) continue;
    if (option->get_envname().empty()) option->envname(prefix + Upper(NameOf(*option)));
    options_.push_back(option);
  }
}

std::vector<std::string> Settings::ReadFile(const std::string& path, const std::vector<std::string>& flags) {
  const absl::StatusOr<toml::table> file = ReadToml(path);
  if (!file.ok()) throw CLI::FileError(std::string(file.status().message()));
  std::vector<std::string> read;
  for (const auto& [key, node] : *file) {
    const std::string name(key.str());
    const std::string place = fmt::format("{}:{}", path, key.source().begin.line);
    const auto setting =
        std::find_if(options_.begin(), options_.end(), [&](CLI::Option* option) { return NameOf(*option) == name; });
    if (setting == options_.end()) {
      const auto close = std::min_element(options_.begin(), options_.end(), [&](CLI::Option* a, CLI::Option* b) {
        return Distance(NameOf(*a), name) < Distance(NameOf(*b), name);
      });
      const bool likely =
          close != options_.end() && Distance(NameOf(**close), name) <= std::max<size_t>(2, name.size() / 3);
      throw CLI::FileError(fmt::format("{}: there is no setting {}{}; --list-settings prints all", place, name,
                                       likely ? fmt::format(" (is {} meant?)", NameOf(**close)) : ""));
    }
    const toml::array* several = IsList(**setting) ? node.as_array() : nullptr;
    if (several != nullptr && several->empty()) {
      throw CLI::FileError(fmt::format("{}: {} is empty: leave the line out instead", place, name));
    }
    std::vector<std::string> values;
    for (size_t i = 0; i < (several == nullptr ? 1 : several->size()); ++i) {
      absl::StatusOr<std::string> text = TextOf(several == nullptr ? node : (*several)[i], TypeOf(**setting).kind);
      if (!text.ok()) throw CLI::FileError(fmt::format("{}: {} {}", place, name, std::string(text.status().message())));
      values.push_back(*std::move(text));
    }
    if (!origins_.try_emplace(*setting, place).second) continue;
    for (const std::string& value : values) read.push_back(fmt::format("--{}={}", name, value));
  }
  return read;
}

std::optional<int> Settings::Read(int argc, const char* const* argv, const std::function<absl::Status()>& check,
                                  std::ostream& out, std::ostream& err) {
  std::vector<std::string> flags(argv + 1, argv + argc);
  const auto mistake = [&](std::string what) {
    for (const std::string& value : Values(flags)) {
      const std::string shown = WithoutPasswords(value);
      if (shown != value) what = absl::StrReplaceAll(what, {{value, shown}});
    }
    err << fmt::format("{}: {}\n", app_.get_name(), what);
    return 2;
  };
  try {
    RefuseEmptyValues(flags);
    for (const CLI::Option* option : options_) {
      if (IsGiven(flags, NameOf(*option))) {
        origins_[option] = "flag";
      } else if (InEnvironment(*option)) {
        origins_[option] = option->get_envname();
      }
    }
    std::string path = ValueOf(flags, NameOf(*config_));
    if (path.empty() && InEnvironment(*config_)) path = std::getenv(config_->get_envname().c_str());
    // Who asks for help about a file that is wrong gets it.
    const bool asks = std::any_of(flags.begin(), flags.end(), [](const std::string& flag) {
      return flag == "-h" || flag == "--help" || flag == "--version" || flag == "--list-settings" ||
             flag == "--list-failpoints";
    });
    if (!path.empty() && !asks) {
      const std::vector<std::string> read = ReadFile(path, flags);
      flags.insert(flags.begin(), read.begin(), read.end());
    }
    app_.parse(std::vector<std::string>(flags.rbegin(), flags.rend()));  // as CLI11 takes them
  } catch (const CLI::Success& answer) {
    app_.exit(answer, out, err);
    return 0;
  } catch (const CLI::FileError& error) {
    return mistake(error.what());
  } catch (const CLI::ParseError& error) {
    return mistake(WithOrigins(error.what()) + "; --help prints all flags");
  } catch (const std::exception& error) {  // of a library, over what nobody has thought of: no reason to die, at SIGHUP
    return mistake(error.what());
  }
  if (list_) {
    List(out);
    return 0;
  }
  if (absl::Status fit = check(); !fit.ok()) return mistake(WithOrigins(std::string(fit.message())));
  if (print_) {
    Print(out);
    return 0;
  }
  return std::nullopt;
}

// CLI11 takes the next flag for the value then (findings/).
void Settings::RefuseEmptyValues(const std::vector<std::string>& flags) const {
  for (const std::string& flag : flags) {
    if (!flag.starts_with("--") || !flag.ends_with("=") || flag.find('=') != flag.size() - 1) continue;
    const std::string name = flag.substr(2, flag.size() - 3);
    if (name != NameOf(*config_) && std::none_of(options_.begin(), options_.end(),
                                                 [&](const CLI::Option* option) { return NameOf(*option) == name; })) {
      continue;
    }
    throw CLI::ParseError(fmt::format("{} has no value: leave it out instead", flag), CLI::ExitCodes::InvalidError);
  }
}

// Whatever a message may show of what was given: values of flags, those behind a =, and of variables.
std::vector<std::string> Settings::Values(const std::vector<std::string>& flags) const {
  std::vector<std::string> values;
  for (const std::string& flag : flags) {
    values.push_back(flag.starts_with("-") ? flag.substr(std::min(flag.find('='), flag.size() - 1) + 1) : flag);
  }
  for (const CLI::Option* option : options_) {
    if (InEnvironment(*option)) values.emplace_back(std::getenv(option->get_envname().c_str()));
  }
  return values;
}

std::string Settings::WithOrigins(std::string message) const {
  std::string origins;
  for (const CLI::Option* option : options_) {
    const auto origin = origins_.find(option);
    const std::string flag = "--" + NameOf(*option);
    if (origin == origins_.end() || origin->second == "flag" || !Names(message, flag)) continue;
    origins += fmt::format("{}{} is from {}", origins.empty() ? "" : ", ", flag, origin->second);
  }
  return origins.empty() ? message : fmt::format("{} ({})", message, origins);
}

std::vector<Setting> Settings::InForce() const {
  std::vector<Setting> settings;
  for (const CLI::Option* option : options_) {
    Setting& setting = settings.emplace_back();
    setting.name = NameOf(*option);
    if (option->count() == 0) {
      setting.value = DefaultOf(*option);
      setting.from = "default";
      continue;
    }
    setting.value = IsFlag(*option) ? (CLI::detail::to_flag_value(option->results().back()) > 0 ? "true" : "false")
                                    : fmt::format("{}", fmt::join(option->results(), ","));
    const auto origin = origins_.find(option);
    setting.from = origin == origins_.end() ? "flag" : origin->second;
  }
  return settings;
}

bool CanChange(std::string_view setting) {
  return setting == "log-level" || setting == "log-levels" || setting == "trace-ratio";
}

void TakeOver(std::vector<Setting>& in_force, const std::vector<Setting>& read, const LogLevels& levels, Logger& log,
              const OnSettingChange& changed) {
  const LogLevel before = log.level();
  const bool louder = levels.level <= before;  // those that say more count for what is said here, too
  if (louder) log.SetLevels(levels);
  for (size_t i = 0; i < read.size(); ++i) {
    if (in_force[i].value == read[i].value) continue;
    const bool taken = CanChange(read[i].name);
    log.Log(std::max(taken ? LogLevel::kInfo : LogLevel::kWarn, log.level()),
            taken ? "a setting has changed" : "a setting has changed, which takes a restart",
            {{"setting", read[i].name}, {"value", WithoutPasswords(read[i].value)}, {"from", read[i].from}});
    if (!taken) continue;
    if (changed) changed(in_force[i], read[i]);
    in_force[i] = read[i];
  }
  if (!louder) log.SetLevels(levels);
}

void Settings::Print(std::ostream& out) const {
  const std::vector<Setting> settings = InForce();
  for (size_t i = 0; i < settings.size(); ++i) {
    const Setting& setting = settings[i];
    // What has no value is not set at all.
    out << fmt::format("{}{} = {}  # {}\n", setting.value.empty() ? "# " : "", setting.name,
                       LineOf(*options_[i], WithoutPasswords(setting.value)), setting.from);
  }
}

void Settings::List(std::ostream& out) const {
  out << "| setting | variable | type | default | means |\n| --- | --- | --- | --- | --- |\n";
  for (const CLI::Option* option : options_) {
    const std::string name = NameOf(*option);
    out << fmt::format("| `{}` | `{}` | {} | {} | {}{} |\n", name, option->get_envname(),
                       ForTable(TypeOf(*option).name), ForTable(WithoutPasswords(DefaultOf(*option))),
                       ForTable(option->get_description()), CanChange(name) ? ". Can be changed while running" : "");
  }
}

}  // namespace waybill::process
