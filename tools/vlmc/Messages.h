//===- Messages.h - The messages of a conversation --------------*- C++ -*-===//
//
// What is done to messages in JSON before a template has them.
//
//   Json messages = normalisedMessages(given);
//   std::vector<std::string> paths = picturesOf(messages);
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TOOLS_VLMC_MESSAGES_H
#define VLMC_TOOLS_VLMC_MESSAGES_H

#include "frontend/support/Json.h"

#include <string>
#include <vector>

namespace vlmc::tool {

/// As transformers has messages: no null entries, and pictures of one kind.
Json normalisedMessages(Json messages);

/// Paths of pictures in messages, in their order.
std::vector<std::string> picturesOf(const Json &messages);

} // namespace vlmc::tool

#endif // VLMC_TOOLS_VLMC_MESSAGES_H
