//===- Search.cpp - Answers that are searched for by beams ----------------===//
//
// Each beam has a sequence of its own. Behind each step of the search a beam
// goes on in the sequence of the beam that it stems from; where two stem from
// one, the second gets a copy in the place of a beam that nobody goes on.
//
//===----------------------------------------------------------------------===//
#include "runtime/tasks/Engine.h"

#include <algorithm>

namespace vlmc::rt {

/// `logits` are those behind the prompt, which the first sequence holds.
vlm_status_t *Engine::startSearch(Job &job, int64_t most,
                                  std::span<const float> logits) {
  job.base = job.slots[0];
  job.search = std::make_unique<BeamSearch>(*reader.facts,
                                            job.options.beams(*reader.facts),
                                            slots[size_t(job.base)].ids, most);
  job.beamLogits.resize(job.slots.size());
  job.promptLogits.assign(logits.begin(), logits.end());
  job.search->take(std::array{logits});
  return carryOn(job);
}

/// Keeps what came of a beam; with the last one the search takes a step.
vlm_status_t *Engine::takeBeam(Job &job, size_t beam,
                               std::span<const float> logits) {
  job.beamLogits[beam].assign(logits.begin(), logits.end());
  std::vector<std::span<const float>> rows(job.beamLogits.begin(),
                                           job.beamLogits.end());
  if (std::ranges::any_of(rows, [](auto row) { return row.empty(); }))
    return nullptr;
  job.search->take(rows);
  for (std::vector<float> &each : job.beamLogits)
    each.clear();
  return carryOn(job);
}

/// Gives each beam its sequence and the token that is to be run there. Whoever
/// listens may end the search.
vlm_status_t *Engine::carryOn(Job &job) {
  if (job.search->isOver())
    return tellFound(job);
  vlm_piece_t nothing{};
  nothing.answer = -1;
  nothing.text = "";
  if (!job.listener.tell(nothing)) {
    endAll(job, VLM_END_CANCELLED, nullptr);
    return nullptr;
  }
  auto running = job.search->running();
  const std::vector<int32_t> before = job.slots;
  std::vector<int32_t> unused = before;
  std::vector<int32_t> next(before.size(), -1);
  for (size_t i = 0; i < next.size(); ++i) {
    int32_t own = before[size_t(running[i].origin)];
    if (std::erase(unused, own))
      next[i] = own;
  }
  for (size_t i = 0; i < next.size(); ++i) {
    if (next[i] >= 0)
      continue;
    next[i] = unused.back();
    unused.pop_back();
    if (vlm_status_t *status =
            copySlot(before[size_t(running[i].origin)], next[i]))
      return status;
  }
  job.slots = next;
  for (size_t i = 0; i < next.size(); ++i)
    slots[size_t(next[i])].ids.push_back(running[i].ids.back());
  return nullptr;
}

/// The sequence that the prompt came into holds the prompt again, which all
/// beams begin with, and the logits behind it; nothing where memory lacks.
void Engine::leaveSearch(Job &job) {
  job.search.reset();
  Slot &base = slots[size_t(job.base)];
  base.ids.resize(size_t(base.promptLength));
  base.computed = base.promptLength;
  base.logits = std::move(job.promptLogits);
  if (vlm_status_t *status =
          vlm_cache_resize(cache.get(), job.base, base.computed)) {
    vlm_status_destroy(status); // no memory to part a page from the others'
    clear(job.base);
  }
}

/// Tells the answers, the best one first. The sequence that the prompt came
/// into holds that one from then on, as far as it was computed there.
vlm_status_t *Engine::tellFound(Job &job) {
  const BeamSearch &search = *job.search;
  Slot &base = slots[size_t(job.base)];
  std::vector<int64_t> prompt = base.ids;
  prompt.resize(size_t(base.promptLength));
  for (int64_t i = 0; i < job.options.answers(); ++i) {
    std::vector<int64_t> ids = prompt;
    job.answers.push_back(std::make_unique<Answer>(reader, job.options, i, ids,
                                                   maxTokens, job.listener));
    Answer &answer = *job.answers.back();
    for (int64_t id : search.answer(size_t(i)))
      if (!answer.isOver())
        if (vlm_status_t *status = answer.give(id, {}, ids))
          return status;
    counts.newTokens += answer.tokens();
    if (i > 0)
      continue;
    auto differs = std::ranges::mismatch(
        ids, std::span(base.ids).first(size_t(base.computed)));
    base.computed = differs.in1 - ids.begin();
    base.ids = std::move(ids);
    if (vlm_status_t *status =
            vlm_cache_resize(cache.get(), job.base, base.computed))
      return status;
  }
  job.search.reset();
  for (size_t i = 0; i < job.slots.size(); ++i)
    release(job, i);
  return nullptr;
}

} // namespace vlmc::rt
