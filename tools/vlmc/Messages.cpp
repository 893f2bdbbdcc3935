//===- Messages.cpp - The messages of a conversation ----------------------===//
#include "tools/vlmc/Messages.h"

namespace vlmc::tool {

/// The address in {"type": "image_url", "image_url": address or {"url": ...}},
/// null in any other part.
static const Json *addressOf(const Json &part) {
  if (!part.is_object() || !part.contains("type") ||
      part["type"] != "image_url" || !part.contains("image_url"))
    return nullptr;
  const Json *given = &part["image_url"];
  if (given->is_object() && given->contains("url"))
    given = &(*given)["url"];
  return given->is_string() ? given : nullptr;
}

Json normalisedMessages(Json messages) {
  for (Json &message : messages) {
    if (!message.is_object())
      continue;
    for (auto entry = message.begin(); entry != message.end();)
      entry = entry->is_null() ? message.erase(entry) : std::next(entry);
    if (!message.contains("content") || !message["content"].is_array())
      continue;
    for (Json &part : message["content"])
      if (const Json *address = addressOf(part))
        part = Json{{"type", "image"}, {"url", *address}};
  }
  return messages;
}

std::vector<std::string> picturesOf(const Json &messages) {
  std::vector<std::string> paths;
  if (!messages.is_array())
    return paths;
  for (const Json &message : messages) {
    if (!message.is_object() || !message.contains("content") ||
        !message["content"].is_array())
      continue;
    for (const Json &part : message["content"]) {
      if (!part.is_object() || !part.contains("type") ||
          part["type"] != "image")
        continue;
      for (const char *key : {"image", "url", "path"})
        if (part.contains(key) && part[key].is_string())
          paths.push_back(part[key].get<std::string>());
    }
  }
  return paths;
}

} // namespace vlmc::tool
