//===- CacheCommand.cpp - The cache of compiled models --------------------===//
#include "frontend/support/Json.h"
#include "tools/vlmc/Command.h"
#include "tools/vlmc/OpenModel.h"

#include <CLI/CLI.hpp>

#include <array>
#include <cstdio>
#include <ctime>
#include <iostream>

using namespace vlmc;
using namespace vlmc::tool;

using OrderedJson = nlohmann::ordered_json;

namespace {
class CacheCommand : public Command {
public:
  const char *name() const override { return "cache"; }
  const char *summary() const override {
    return "lists or removes compiled models of checkpoints";
  }
  void declare(CLI::App &app) override;
  ExitCode run() override;

private:
  void list(const std::string &folder) const;
  void clean(const std::string &folder) const;

  std::string cache;
  uint64_t maxBytes = CacheOptions::defaultBytes;
  CLI::App *listing = nullptr;
  CLI::Option *size = nullptr;
  bool json = false;
};
} // namespace

void CacheCommand::declare(CLI::App &app) {
  app.require_subcommand(1);
  listing =
      app.add_subcommand("list", "what the cache holds, latest used first");
  CLI::App *cleaning = app.add_subcommand(
      "clean", "removes what no program uses, least recently used first");
  for (CLI::App *command : {listing, cleaning}) {
    addCacheFolder(*command, cache);
    command->add_flag("--json", json, "print one JSON object");
  }
  size = addSize(*cleaning, "--cache-size", maxBytes,
                 "stop when the cache holds no more than this, 500M or 20G "
                 "(default: remove all)");
}

static OrderedJson toJson(const CacheEntry &entry) {
  return {{"key", entry.key},        {"name", entry.name},
          {"bytes", entry.bytes},    {"last_used", entry.lastUsed},
          {"in_use", entry.isInUse}, {"checkpoint", entry.checkpoint},
          {"options", entry.options}};
}

static OrderedJson toJson(const std::vector<CacheEntry> &entries) {
  OrderedJson list = OrderedJson::array();
  for (const CacheEntry &entry : entries)
    list.push_back(toJson(entry));
  return list;
}

static void print(const OrderedJson &json) {
  std::cout << json.dump(-1, ' ', false, Json::error_handler_t::replace)
            << "\n";
}

/// "2026-11-25 19:53"
static std::string describeTime(int64_t seconds) {
  auto time = time_t(seconds);
  tm local{};
  std::array<char, 32> text{};
  if (::localtime_r(&time, &local))
    (void)std::strftime(text.data(), text.size(), "%F %H:%M", &local);
  return text.data();
}

static void printTable(const std::vector<CacheEntry> &entries) {
  for (const CacheEntry &entry : entries) {
    std::string what = entry.checkpoint.empty() ? entry.name : entry.checkpoint;
    for (const std::string &option : entry.options)
      what += " " + option;
    std::printf("%10s  %s  %-6s  %s\n", describeBytes(entry.bytes).c_str(),
                describeTime(entry.lastUsed).c_str(),
                entry.isInUse ? "in use" : "", what.c_str());
  }
}

void CacheCommand::list(const std::string &folder) const {
  std::vector<CacheEntry> entries = listCache(folder);
  std::reverse(entries.begin(), entries.end());
  uint64_t bytes = Trimmed::bytesOf(entries);
  if (json)
    return print(
        {{"folder", folder}, {"bytes", bytes}, {"models", toJson(entries)}});
  printTable(entries);
  std::printf("%10s  in %zu model%s in %s\n", describeBytes(bytes).c_str(),
              entries.size(), entries.size() == 1 ? "" : "s", folder.c_str());
}

void CacheCommand::clean(const std::string &folder) const {
  Trimmed trimmed = trimCache(folder, size->count() ? maxBytes : 0);
  if (json)
    return print({{"folder", folder},
                  {"removed_bytes", Trimmed::bytesOf(trimmed.removed)},
                  {"kept_bytes", Trimmed::bytesOf(trimmed.kept)},
                  {"removed", toJson(trimmed.removed)},
                  {"kept", toJson(trimmed.kept)}});
  std::printf("removed %zu model%s, %s; kept %zu, %s\n", trimmed.removed.size(),
              trimmed.removed.size() == 1 ? "" : "s",
              describeBytes(Trimmed::bytesOf(trimmed.removed)).c_str(),
              trimmed.kept.size(),
              describeBytes(Trimmed::bytesOf(trimmed.kept)).c_str());
}

ExitCode CacheCommand::run() {
  Outcome<std::string> folder = cacheFolder(cache);
  if (!folder)
    return report(folder.takeFault());
  if (listing->parsed())
    list(*folder);
  else
    clean(*folder);
  return ExitCode::Done;
}

std::unique_ptr<Command> vlmc::tool::makeCacheCommand() {
  return std::make_unique<CacheCommand>();
}
