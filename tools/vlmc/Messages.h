//===- Messages.h - The messages of a conversation --------------*- C++ -*-===//
//
// What is done to messages in JSON before a template has them.
//
//   OrderedJson messages = normalisedMessages(given);
//   std::vector<std::string> paths = picturesOf(messages);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_MESSAGES_H
#define VLMC_TOOLS_VLMC_MESSAGES_H

#include "frontend/support/Json.h"

#include <string>
#include <vector>

namespace vlmc::tool {

/// JSON whose keys keep their order, as Python's do: templates go through them.
using OrderedJson = nlohmann::ordered_json;

/// As transformers has messages: no null entries, and pictures of one kind.
OrderedJson normalisedMessages(OrderedJson messages);

/// Paths of pictures in messages, in their order.
std::vector<std::string> picturesOf(const OrderedJson &messages);

/// Paths of each video's frames, or of its folder.
std::vector<std::vector<std::string>> videosOf(const OrderedJson &messages);

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_MESSAGES_H
