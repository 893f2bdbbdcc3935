//===- Messages.cpp - The messages of a conversation ----------------------===//
#include "tools/vlmc/Messages.h"

namespace vlmc::tool {

/// The address in {"type": "image_url", "image_url": address or {"url": ...}},
/// null in any other part.
static const OrderedJson *addressOf(const OrderedJson &part) {
  if (!part.is_object() || !part.contains("type") ||
      part["type"] != "image_url" || !part.contains("image_url"))
    return nullptr;
  const OrderedJson *given = &part["image_url"];
  if (given->is_object() && given->contains("url"))
    given = &(*given)["url"];
  return given->is_string() ? given : nullptr;
}

OrderedJson normalisedMessages(OrderedJson messages) {
  for (OrderedJson &message : messages) {
    if (!message.is_object())
      continue;
    for (auto entry = message.begin(); entry != message.end();)
      entry = entry->is_null() ? message.erase(entry) : std::next(entry);
    if (!message.contains("content") || !message["content"].is_array())
      continue;
    for (OrderedJson &part : message["content"])
      if (const OrderedJson *address = addressOf(part))
        part = OrderedJson{{"type", "image"}, {"url", *address}};
  }
  return messages;
}

/// Calls `take` with each part of that type that names where it is.
static void forParts(const OrderedJson &messages, const char *type,
                     const auto &take) {
  if (!messages.is_array())
    return;
  for (const OrderedJson &message : messages) {
    if (!message.is_object() || !message.contains("content") ||
        !message["content"].is_array())
      continue;
    for (const OrderedJson &part : message["content"]) {
      if (!part.is_object() || !part.contains("type") || part["type"] != type)
        continue;
      for (const char *key : {type, "url", "path"})
        if (part.contains(key))
          take(part[key]);
    }
  }
}

std::vector<std::string> picturesOf(const OrderedJson &messages) {
  std::vector<std::string> paths;
  forParts(messages, "image", [&](const OrderedJson &place) {
    if (place.is_string())
      paths.push_back(place.get<std::string>());
  });
  return paths;
}

std::vector<std::vector<std::string>> videosOf(const OrderedJson &messages) {
  std::vector<std::vector<std::string>> videos;
  forParts(messages, "video", [&](const OrderedJson &place) {
    std::vector<std::string> frames;
    for (const OrderedJson &each :
         place.is_array() ? place : OrderedJson::array({place}))
      if (each.is_string())
        frames.push_back(each.get<std::string>());
    if (!frames.empty())
      videos.push_back(std::move(frames));
  });
  return videos;
}

} // namespace vlmc::tool
