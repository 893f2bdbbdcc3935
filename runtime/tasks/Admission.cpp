//===- Admission.cpp - Which request gets which sequence ------------------===//
//
// Requests wait in the order in which they came. The first gets its sequences
// when enough of them are idle and, if memory is limited, there is room; it
// begins where a sequence that is held begins like it.
//
//===----------------------------------------------------------------------===//
#include "runtime/core/StatusInternal.h"
#include "runtime/tasks/Engine.h"

#include <algorithm>
#include <chrono>

namespace vlmc::rt {

/// From how many tokens on another sequence's beginning is worth a fork.
static constexpr int64_t kWorthForking = VLM_ABI_PAGE_TOKENS;

static size_t pagesFor(int64_t tokens) {
  return size_t((tokens + VLM_ABI_PAGE_TOKENS - 1) / VLM_ABI_PAGE_TOKENS);
}

void Engine::add(std::unique_ptr<Job> job, uint64_t *number) {
  std::lock_guard<std::mutex> lock(mutex);
  job->number = ++lastNumber;
  if (number)
    *number = lastNumber;
  waiting.push_back(std::move(job));
  ++unfinished;
  hasWork.notify_all();
}

void Engine::cancel(uint64_t number) {
  std::lock_guard<std::mutex> lock(mutex);
  if (number > 0 && number <= lastNumber)
    cancelled.insert(number);
}

int64_t Engine::wait(int64_t milliseconds) {
  std::unique_lock<std::mutex> lock(mutex);
  hasWork.wait_for(lock,
                   std::chrono::milliseconds(std::max<int64_t>(
                       0, std::min<int64_t>(milliseconds, 1 << 30))),
                   [&] { return unfinished > 0; });
  return unfinished;
}

/// Ends the requests that somebody has cancelled since the last step.
void Engine::takeCancelled() {
  std::unordered_set<uint64_t> numbers;
  std::vector<std::unique_ptr<Job>> gone;
  {
    std::lock_guard<std::mutex> lock(mutex);
    numbers.swap(cancelled);
    for (auto it = waiting.begin(); !numbers.empty() && it != waiting.end();)
      if (numbers.contains((*it)->number)) {
        gone.push_back(std::move(*it));
        it = waiting.erase(it);
      } else {
        ++it;
      }
  }
  for (auto &job : gone)
    endAll(*job, VLM_END_CANCELLED, nullptr);
  for (auto &job : active)
    if (numbers.contains(job->number))
      endAll(*job, VLM_END_CANCELLED, nullptr);
  std::erase_if(active, [](const auto &job) { return job->isOver; });
}

void Engine::admitWaiting() {
  for (;;) {
    std::unique_ptr<Job> job;
    {
      std::lock_guard<std::mutex> lock(mutex);
      if (waiting.empty())
        return;
      job = std::move(waiting.front());
      waiting.pop_front();
    }
    if (!admit(*job)) {
      std::lock_guard<std::mutex> lock(mutex);
      waiting.push_front(std::move(job));
      return;
    }
    active.push_back(std::move(job));
    Job &admitted = *active.back();
    if (vlm_status_t *status = guarded("looking at pictures", [&] {
          return admitted.isOver ? nullptr : lookAtPictures(admitted);
        }))
      fail(admitted, status);
  }
}

/// How many tokens from the first on are the same in both, pictures included.
int64_t Engine::common(const Slot &slot, const Prompt &next) const {
  auto differs = std::mismatch(slot.ids.begin(),
                               slot.ids.begin() + std::ptrdiff_t(slot.computed),
                               next.ids.begin(), next.ids.end());
  int64_t same = differs.first - slot.ids.begin();
  for (size_t i = 0; i < next.pictures.size(); ++i)
    if (i >= slot.pictures.size() ||
        slot.pictures[i].key != next.pictures[i].key)
      same = std::min(same, next.pictures[i].begin);
  bool areSame = std::ranges::equal(slot.pictures, next.pictures, {},
                                    &Picture::key, &Picture::key);
  if (!areSame &&
      (decoder.seesAhead(slot.pictures) || decoder.seesAhead(next.pictures)))
    return 0;
  // What an encoder read is seen by all tokens.
  if (slot.encoded != next.encoded || (!next.encoded.empty() && !areSame))
    return 0;
  // Keys that were turned by other frequencies do not serve. Those of the
  // answer were turned by lengths up to the last one.
  if (!decoder.isSameLength(slot.promptLength, next.size()))
    return 0;
  if (!decoder.isSameLength(int64_t(slot.ids.size()), next.size()))
    same = std::min(same, slot.promptLength);
  // Tokens that see each other are the same only where all of them are.
  if (reader.seesPrompt && std::max(slot.mutual, next.mutual) > 0 &&
      (slot.mutual != next.mutual || same < next.mutual))
    same = 0;
  for (const Picture &picture : next.pictures)
    if (reader.seesPictures && picture.begin < same && same < picture.end)
      same = picture.begin;
  // The logits behind the last token are wanted.
  bool hasLogits = same == next.size() && same == int64_t(slot.ids.size()) &&
                   !slot.logits.empty();
  return hasLogits ? same : std::min(same, next.size() - 1);
}

int64_t Engine::idleCount() const {
  return std::ranges::count_if(slots,
                               [](const Slot &slot) { return !slot.isBusy; });
}

/// The idle sequence that was used longest ago; -1: none.
int32_t Engine::oldestIdle(int32_t spared) const {
  int32_t best = -1;
  for (size_t i = 0; i < slots.size(); ++i)
    if (!slots[i].isBusy && int32_t(i) != spared &&
        (best < 0 || slots[i].lastUse < slots[size_t(best)].lastUse))
      best = int32_t(i);
  return best;
}

/// The sequence that has most in common with the prompt; -1: none has anything.
int32_t Engine::findSource(const Prompt &prompt, int64_t &same) const {
  int32_t best = -1;
  same = 0;
  for (size_t i = 0; i < slots.size(); ++i) {
    int64_t found = common(slots[i], prompt);
    bool isBetter = found == same && best >= 0 && !slots[i].isBusy &&
                    slots[size_t(best)].isBusy;
    if (found > same || isBetter) {
      same = found;
      best = int32_t(i);
    }
  }
  return best;
}

void Engine::clear(int32_t number) {
  // Giving back cannot fail.
  vlm_status_destroy(vlm_cache_resize(cache.get(), number, 0));
  decoder.clearPictures(number);
  Slot &slot = slots[size_t(number)];
  slot.ids.clear();
  slot.encoded.clear();
  giveUp(slot.encoderRows);
  slot.pictures.clear();
  giveUp(slot.logits);
  slot.computed = 0;
  slot.mutual = 0;
  slot.lastUse = 0;
}

/// Whether so many pages may be taken; idle sequences are given up for them.
bool Engine::makeRoom(size_t pages, int32_t spared) {
  if (!options.maxBytes)
    return true;
  size_t limit = options.maxBytes / vlm_cache_page_bytes(cache.get());
  if (reserved + pages > limit)
    return false;
  auto idlePages = [&] {
    size_t sum = 0;
    for (size_t i = 0; i < slots.size(); ++i)
      if (!slots[i].isBusy && int32_t(i) != spared)
        sum += pagesFor(slots[i].computed);
    return sum;
  };
  while (reserved + pages + idlePages() > limit) {
    int32_t oldest = -1;
    for (size_t i = 0; i < slots.size(); ++i)
      if (!slots[i].isBusy && slots[i].computed > 0 && int32_t(i) != spared &&
          (oldest < 0 || slots[i].lastUse < slots[size_t(oldest)].lastUse))
        oldest = int32_t(i);
    if (oldest < 0)
      return true;
    clear(oldest);
  }
  return true;
}

/// Gives a request its sequences; false: it has to wait.
bool Engine::admit(Job &job) {
  auto count = size_t(job.options.sequences(*reader.facts));
  while (options.keepsOne && slots.size() < count)
    slots.emplace_back();
  if (size_t(idleCount()) < count)
    return false;
  int64_t same = 0;
  int32_t source = findSource(job.prompt, same), base = 0;
  if (!options.keepsOne) {
    // An idle sequence that the prompt only continues is taken over.
    bool isTaken = source >= 0 && !slots[size_t(source)].isBusy &&
                   (same == slots[size_t(source)].computed ||
                    size_t(idleCount()) == count || same < kWorthForking);
    base = isTaken ? source : oldestIdle(source);
    if (base < 0) // the source is the only one that is idle
      base = source;
  }
  if (!makeRoom(job.pages, base))
    return false;
  if (job.options.values.prompt_logprobs)
    source = -1;
  // What was given up may have been the source.
  same = source >= 0 ? common(slots[size_t(source)], job.prompt) : 0;
  bool forks = source >= 0 && source != base && same >= kWorthForking;
  if (options.keepsOne || source == base)
    same = source < 0 ? 0 : common(slots[size_t(base)], job.prompt);
  else if (!forks)
    same = 0;
  Slot &slot = slots[size_t(base)];
  vlm_status_t *status = forks && !options.keepsOne
                             ? vlm_cache_fork(cache.get(), source, base, same)
                             : vlm_cache_resize(cache.get(), base, same);
  if (!status && forks && !options.keepsOne)
    status = decoder.forkPictures(
        source, base, slots[size_t(source)].pictures, same,
        int64_t(slots[size_t(source)].encoded.size()));
  if (status) { // no memory for one page: begin anew
    vlm_status_destroy(status);
    clear(base);
    same = 0;
  }
  bool keepsLogits = source == base && same == job.prompt.size();
  slot.ids = std::move(job.prompt.ids);
  slot.encoded = std::move(job.prompt.encoded);
  slot.pictures = std::move(job.prompt.pictures);
  slot.computed = same;
  slot.mutual = job.prompt.mutual;
  slot.promptLength = int64_t(slot.ids.size());
  if (!keepsLogits)
    giveUp(slot.logits);
  slot.isBusy = true;
  job.slots = {base};
  while (job.slots.size() < count) {
    int32_t next = oldestIdle(base);
    clear(next);
    slots[size_t(next)].isBusy = true;
    job.slots.push_back(next);
  }
  reserved += job.pages;
  if (!job.isContinued) {
    auto encoded = int64_t(slot.encoded.size());
    counts.promptTokens += encoded ? encoded : int64_t(slot.ids.size());
    counts.reusedTokens += encoded && same ? encoded : same;
  }
  return true;
}

/// Gives an answer's sequence back; the last one closes the request.
void Engine::release(Job &job, size_t answer) {
  int32_t number = job.slots[answer];
  if (number < 0)
    return;
  job.slots[answer] = -1;
  Slot &slot = slots[size_t(number)];
  slot.isBusy = false;
  slot.lastUse = ++clock;
  if (options.keepsOne && number != 0)
    clear(number);
  if (std::ranges::all_of(job.slots, [](int32_t each) { return each < 0; }))
    close(job);
}

/// Tokens of a prompt that are not computed are not held.
static void forgetRest(Slot &slot) {
  slot.ids.resize(size_t(slot.computed));
  giveUp(slot.encoderRows);
  // An encoder has read all of them or none.
  if (!slot.encoded.empty() && slot.computed == 0)
    slot.pictures.clear();
  std::erase_if(slot.pictures, [&](const Picture &picture) {
    return slot.encoded.empty() && picture.begin >= slot.computed;
  });
  for (Picture &picture : slot.pictures) {
    picture.features.reset();
    giveUp(picture.pixels);
  }
}

void Engine::close(Job &job) {
  if (job.isOver)
    return;
  job.isOver = true;
  if (!job.slots.empty())
    reserved -= job.pages;
  if (job.search) {
    leaveSearch(job);
  } else if (job.answers.empty() && !job.slots.empty()) {
    Slot &slot = slots[size_t(job.slots[0])];
    // What is computed may have seen pictures that would be forgotten.
    if (decoder.seesAhead(slot.pictures) &&
        slot.pictures.back().begin >= slot.computed)
      clear(job.slots[0]);
    forgetRest(slot);
  }
  for (size_t i = 0; i < job.slots.size(); ++i)
    release(job, i);
  std::lock_guard<std::mutex> lock(mutex);
  --unfinished;
}

/// Ends all answers that are not over, those that have not begun included.
void Engine::endAll(Job &job, vlm_end_t how, const vlm_status_t *failure) {
  if (job.isOver)
    return;
  for (int64_t i = 0; i < job.options.answers() && !job.isPromptOnly; ++i) {
    if (size_t(i) < job.answers.size()) {
      if (!job.answers[size_t(i)]->isOver())
        job.answers[size_t(i)]->end(how, failure);
      continue;
    }
    vlm_piece_t piece{};
    piece.answer = i;
    piece.text = "";
    piece.end = how;
    piece.failure = failure;
    job.listener.tell(piece);
  }
  close(job);
}

void Engine::fail(Job &job, vlm_status_t *status) {
  if (job.failure) {
    *job.failure = status;
    close(job);
    return;
  }
  endAll(job, VLM_END_FAILED, status);
  vlm_status_destroy(status);
}

} // namespace vlmc::rt
