//===- AnswerReport.cpp - Answers as they come, or as JSON ----------------===//
#include "tools/vlmc/AnswerReport.h"

#include "frontend/support/Json.h"

#include <cstdio>

namespace vlmc::tool {

using OrderedJson = nlohmann::ordered_json;

static const char *nameOf(vlm_end_t end) {
  switch (end) {
  case VLM_END_TOKEN:
    return "token";
  case VLM_END_LENGTH:
    return "length";
  case VLM_END_STOP:
    return "stop";
  case VLM_END_CANCELLED:
    return "cancelled";
  case VLM_END_CONTEXT:
    return "context";
  case VLM_END_FAILED:
    return "failed";
  }
  return "";
}

int AnswerReport::hear(void *user, const vlm_piece_t *piece) {
  return static_cast<AnswerReport *>(user)->take(*piece) ? 0 : 1;
}

/// False: nobody reads what is printed.
bool AnswerReport::take(const vlm_piece_t &piece) {
  if (streams && piece.answer == 0 && piece.bytes > 0 &&
      (std::fwrite(piece.text, 1, piece.bytes, stdout) != piece.bytes ||
       std::fflush(stdout) != 0))
    return false;
  if (piece.answer < 0 && !piece.token) // a search goes on
    return true;
  Answer &answer = answers[piece.answer];
  answer.text.append(piece.text, piece.bytes);
  if (!piece.token) {
    answer.end = nameOf(piece.end);
    return true;
  }
  const vlm_token_t &token = *piece.token;
  OrderedJson told{{"id", token.id}};
  bool isFirst = piece.answer < 0 && answer.tokens.empty();
  if ((hasLogprobs || piece.answer < 0) && !isFirst)
    told["logprob"] = token.logprob;
  for (size_t i = 0; i < token.likeliest_count; ++i)
    told["likeliest"].push_back({{"id", token.likeliest[i].id},
                                 {"logprob", token.likeliest[i].logprob}});
  answer.tokens.push_back(std::move(told));
  return true;
}

void AnswerReport::print() const {
  if (streams) {
    std::puts("");
    std::fflush(stdout);
    return;
  }
  for (const auto &[number, answer] : answers)
    if (number >= 0)
      std::printf("%s%s\n", number ? "\n" : "", answer.text.c_str());
}

void AnswerReport::printJson(const vlm_session_t *session) const {
  OrderedJson line;
  if (auto prompt = answers.find(-1); prompt != answers.end())
    line["prompt"] = prompt->second.tokens;
  line["answers"] = OrderedJson::array();
  for (const auto &[number, answer] : answers)
    if (number >= 0)
      line["answers"].push_back({{"text", answer.text},
                                 {"end", answer.end},
                                 {"tokens", answer.tokens}});
  vlm_stats_t stats{};
  stats.struct_bytes = sizeof(stats);
  vlm_session_stats(session, &stats);
  line["stats"] = {{"prompt_tokens", stats.prompt_tokens},
                   {"new_tokens", stats.new_tokens},
                   {"pictures", stats.pictures},
                   {"reused_pictures", stats.reused_pictures},
                   {"steps", stats.steps},
                   {"cache_bytes", vlm_session_memory(session)}};
  std::printf(
      "%s\n",
      line.dump(-1, ' ', false, vlmc::Json::error_handler_t::replace).c_str());
}

} // namespace vlmc::tool
