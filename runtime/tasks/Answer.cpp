//===- Answer.cpp - One answer in the making ------------------------------===//
#include "runtime/tasks/Answer.h"

#include "runtime/tasks/Requests.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace vlmc::rt {

GenerateOptions::GenerateOptions(const vlm_generate_options_t *given) {
  if (!given)
    return;
  std::memcpy(&values, given, std::min(given->struct_bytes, sizeof(values)));
  for (size_t i = 0; i < values.stop_count; ++i)
    stops.emplace_back(values.stops[i]);
  values.stops = nullptr; // which the caller may free
}

int64_t GenerateOptions::most(const vlm_abi_generation &facts,
                              int64_t promptTokens) const {
  return values.max_new_tokens ? values.max_new_tokens
                               : usualNewTokens(facts, promptTokens);
}

/// Whether something is asked that a search does not do.
static bool isMoreThanASearch(const vlm_generate_options_t &options) {
  auto changes = [](float penalty) { return penalty != 0 && penalty != 1; };
  return options.temperature > 0 || changes(options.repetition_penalty) ||
         options.presence_penalty != 0 || options.frequency_penalty != 0 ||
         options.logprobs || options.top_logprobs || options.prompt_logprobs;
}

BeamOptions GenerateOptions::beams(const vlm_abi_generation &facts) const {
  BeamOptions search = beamOptions(facts);
  if (values.beams)
    search.beams = values.beams;
  else if (isMoreThanASearch(values) || answers() > search.beams)
    search.beams = 1;
  if (values.length_penalty != 0)
    search.lengthPenalty = values.length_penalty;
  if (values.beam_end != VLM_BEAMS_DEFAULT)
    search.end = uint32_t(values.beam_end - VLM_BEAMS_UNLIKELY);
  return search;
}

static vlm_status_t *checkBeams(const vlm_generate_options_t &options) {
  if (!std::isfinite(options.length_penalty))
    return invalid("length_penalty: expected a finite number, found " +
                   std::to_string(options.length_penalty));
  if (options.beams <= 1)
    return nullptr;
  if (options.answers > options.beams)
    return invalid("answers: expected at most " +
                   std::to_string(options.beams) +
                   ", as many as beams, found " +
                   std::to_string(options.answers));
  if (isMoreThanASearch(options))
    return invalid("beams: expected none beside temperature, penalties or "
                   "logprobs, found " +
                   std::to_string(options.beams) +
                   "; a search draws nothing and changes no logits");
  return nullptr;
}

vlm_status_t *checkOptions(const vlm_generate_options_t &options) {
  if (vlm_status_t *status = checkSampling(options))
    return status;
  struct Number {
    const char *name;
    int32_t value, most;
  };
  for (const Number &number :
       {Number{"answers", options.answers, VLM_MAX_ANSWERS},
        Number{"beams", options.beams, VLM_MAX_ANSWERS},
        Number{"beam_end", options.beam_end, VLM_BEAMS_IMPOSSIBLE},
        Number{"top_logprobs", options.top_logprobs, VLM_MAX_LIKELIEST}})
    if (number.value < 0 || number.value > number.most)
      return invalid(std::string(number.name) + ": expected 0 to " +
                     std::to_string(number.most) + ", found " +
                     std::to_string(number.value));
  if (options.stop_count && !options.stops)
    return invalid("stops: expected an address, found NULL");
  return checkBeams(options);
}

//===----------------------------------------------------------------------===//
// Logarithms of probabilities
//===----------------------------------------------------------------------===//

TokenScore::TokenScore(std::span<const float> logits, int64_t id,
                       int64_t likeliest) {
  float largest = *std::ranges::max_element(logits);
  double sum = 0;
  for (float logit : logits)
    sum += std::exp(double(logit) - largest);
  double base = double(largest) + std::log(sum);
  auto score = [&](int64_t at) {
    return vlm_logprob_t{int32_t(at), float(logits[size_t(at)] - base)};
  };
  std::vector<int32_t> order(logits.size());
  auto before = [&](int32_t a, int32_t b) {
    float left = logits[size_t(a)], right = logits[size_t(b)];
    return left != right ? left > right : a < b;
  };
  likeliest = std::min(likeliest, int64_t(logits.size()));
  if (likeliest > 0) {
    for (size_t i = 0; i < order.size(); ++i)
      order[i] = int32_t(i);
    std::partial_sort(order.begin(), order.begin() + likeliest, order.end(),
                      before);
  }
  for (int64_t i = 0; i < likeliest; ++i)
    list.push_back(score(order[size_t(i)]));
  token = {int32_t(id), score(id).logprob, list.data(), list.size()};
}

//===----------------------------------------------------------------------===//
// Answers
//===----------------------------------------------------------------------===//

/// Answer `number` draws as one of its own with a seed of its own does.
static vlm_generate_options_t seeded(vlm_generate_options_t options,
                                     int64_t number) {
  options.seed += uint64_t(number);
  return options;
}

Answer::Answer(const PromptReader &reader, const GenerateOptions &options,
               int64_t number, const std::vector<int64_t> &ids,
               int64_t maxTokens, Listener listener)
    : reader(reader), options(options), number(number),
      most(options.most(*reader.facts, int64_t(ids.size()))),
      maxTokens(maxTokens), listener(listener),
      processors(*reader.facts, int64_t(ids.size()), most),
      sampler(seeded(options.values, number)),
      stream(
          [this](const std::vector<int32_t> &all, bool isBegun,
                 std::string &text) {
            return decodeText(this->reader.tokenizer.get(), all, isBegun, text);
          },
          options.stops) {
  sampler.hold(ids);
  if (options.values.repetition_penalty != 0)
    processors.leaveRepetition();
  if (int64_t(ids.size()) >= maxTokens)
    end(VLM_END_CONTEXT);
}

bool Answer::isEnd(int64_t id) const {
  const int64_t *last = reader.facts->end_tokens + reader.facts->n_end_tokens;
  return std::find(reader.facts->end_tokens, last, id) != last;
}

void Answer::end(vlm_end_t reason, const vlm_status_t *failure) {
  how = reason;
  vlm_piece_t piece{};
  piece.answer = number;
  piece.text = "";
  piece.end = reason;
  piece.failure = failure;
  listener.tell(piece);
}

/// The last piece, with the text that was held back.
vlm_status_t *Answer::finish(vlm_end_t reason) {
  std::string rest;
  if (vlm_status_t *status = stream.finish(rest))
    return status;
  how = reason;
  vlm_piece_t piece{};
  piece.answer = number;
  piece.text = rest.data();
  piece.bytes = rest.size();
  piece.end = reason;
  listener.tell(piece);
  return nullptr;
}

vlm_status_t *Answer::take(std::span<const float> logits,
                           std::vector<int64_t> &ids) {
  scores.assign(logits.begin(), logits.end());
  processors.apply(ids, scores);
  return give(sampler.choose(scores), logits, ids);
}

vlm_status_t *Answer::give(int64_t id, std::span<const float> logits,
                           std::vector<int64_t> &ids) {
  ids.push_back(id);
  ++count;
  std::string text;
  bool isLast = isEnd(id);
  if (!isLast)
    if (vlm_status_t *status = stream.add(int32_t(id), text))
      return status;
  vlm_token_t plain{int32_t(id), 0, nullptr, 0};
  std::optional<TokenScore> score;
  if (options.values.logprobs || options.values.top_logprobs)
    score.emplace(logits, id, options.values.top_logprobs);
  vlm_piece_t piece{};
  piece.answer = number;
  piece.token = score ? &score->token : &plain;
  piece.text = text.data();
  piece.bytes = text.size();
  if (!listener.tell(piece)) {
    end(VLM_END_CANCELLED);
    return nullptr;
  }
  if (isLast)
    return finish(VLM_END_TOKEN);
  if (stream.stopped())
    return finish(VLM_END_STOP);
  if (count == most)
    return finish(VLM_END_LENGTH);
  if (int64_t(ids.size()) >= maxTokens)
    return finish(VLM_END_CONTEXT);
  return nullptr;
}

} // namespace vlmc::rt
