//===- Engine.h - Requests that share the model's runs ----------*- C++ -*-===//
//
// What lies behind vlm_session_t and vlm_batch_t: sequences in a cache, and
// requests that wait for them or are in work. A step runs the last tokens of
// the answers in work and then as much of the prompts as fits.
//
//   Engine engine;
//   if (auto *status = engine.open(model, options)) return status;
//   std::unique_ptr<Job> job;
//   if (auto *status = engine.makeJob(request, job)) return status;
//   engine.add(std::move(job));
//   while (engine.step() > 0) {}
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_TASKS_ENGINE_H
#define VLMC_RUNTIME_TASKS_ENGINE_H

#include "runtime/tasks/Answer.h"
#include "runtime/tasks/Decoder.h"
#include "runtime/tasks/PromptEncoder.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <deque>
#include <mutex>
#include <unordered_set>

namespace vlmc::rt {

/// A sequence of the cache, and what its tokens are.
struct Slot {
  std::vector<int64_t> ids;
  std::vector<int64_t> encoded;  ///< what the encoder read, if there is one
  Floats encoderRows;            ///< what it gave, until the decoder has it
  std::vector<Picture> pictures; ///< without pixels, once they are computed
  int64_t computed = 0;          ///< of the ids, those that lie in the cache
  int64_t mutual = 0;            ///< of the ids, those that see each other
  int64_t promptLength = 0;      ///< behind it stand an answer's
  std::vector<float> logits;     ///< behind all of them, where they are kept
  bool isBusy = false;
  uint64_t lastUse = 0;
};

/// A request in work.
struct Job {
  uint64_t number = 0;
  Prompt prompt; ///< until it has a slot
  GenerateOptions options;
  Listener listener;
  bool isPromptOnly = false;
  bool isContinued = false; ///< of a prompt that was counted before
  /// Where a failure goes that the listener is not told of.
  vlm_status_t **failure = nullptr;
  size_t pages = 0; ///< of the cache, that it may need

  std::vector<int32_t> slots; ///< of the answers; -1: given back
  std::vector<std::unique_ptr<Answer>> answers; ///< once the prompt is computed
  /// Where answers are searched for, until they are found: beam i is in slot i.
  std::unique_ptr<BeamSearch> search;
  /// Those behind each beam that has been run in this step of the search.
  std::vector<std::vector<float>> beamLogits;
  std::vector<float> promptLogits; ///< what the search began with
  int32_t base = 0; ///< the slot that the prompt came into
  bool isOver = false;
};

struct EngineOptions {
  int64_t maxSequences = 1;
  int64_t maxTokens = 0; ///< of a sequence; 0: as the model says
  int64_t stepTokens = 0;
  size_t maxBytes = 0; ///< of the cache; 0: any
  /// Sequence 0 alone stays when its request is over, and the next one begins
  /// there; else all stay until their places are needed.
  bool keepsOne = false;
};

class Engine {
public:
  Engine() = default;
  Engine(const Engine &) = delete;
  Engine &operator=(const Engine &) = delete;

  vlm_status_t *open(const vlm_model_t *model, const EngineOptions &options);

  /// Reads a request, checks it and preprocesses its pictures. Thread-safe.
  vlm_status_t *makeJob(const vlm_request_t &request,
                        std::unique_ptr<Job> &out) const;
  /// The same for a prompt that is already computed, as far as it is.
  vlm_status_t *continueJob(int32_t slot, const GenerateOptions &options,
                            std::unique_ptr<Job> &out) const;
  /// Reads a request without its pictures' pixels and predicts. Thread-safe.
  vlm_status_t *predict(const vlm_request_t &request,
                        vlm_prediction_t &out) const;

  /// Thread-safe. The number is written before a step can tell of the job.
  void add(std::unique_ptr<Job> job, uint64_t *number = nullptr);
  void cancel(uint64_t number); ///< thread-safe
  /// How many requests there are once there is one, or the time is over.
  int64_t wait(int64_t milliseconds);
  /// How many requests are left.
  int64_t step();

  const Slot &slot(size_t number) const { return slots[number]; }
  size_t cacheBytes() const {
    return pagesNow * vlm_cache_page_bytes(cache.get());
  }
  void stats(vlm_stats_t &out) const;

  PromptReader reader;
  int64_t maxTokens = 0;

private:
  /// Tokens of a job that a step runs; of its prompt, or of an answer.
  struct Work {
    Job *job;
    int32_t slot;
    int64_t answer; ///< -1: the prompt's
    int64_t count;
  };

  vlm_status_t *check(const vlm_request_t &request, const Prompt &prompt,
                      const GenerateOptions &options) const;
  /// Reads the options and the prompt of a request, without pixels.
  vlm_status_t *read(const vlm_request_t &request, Prompt &prompt) const;
  vlm_status_t *predictFor(const Prompt &prompt, const GenerateOptions &options,
                           vlm_prediction_t &out) const;
  size_t pagesOf(int64_t tokens, const GenerateOptions &wanted) const;
  /// Logits behind all tokens of a prompt take memory; so few at a time.
  int64_t mostPromptRows() const {
    constexpr int64_t mostLogits = int64_t(8) << 20;
    return std::max<int64_t>(1, mostLogits / decoder.words);
  }

  // Coming and going.
  void takeCancelled();
  void admitWaiting();
  bool admit(Job &job);
  bool makeRoom(size_t pages, int32_t spared);
  int64_t common(const Slot &slot, const Prompt &prompt) const;
  int32_t findSource(const Prompt &prompt, int64_t &same) const;
  int32_t oldestIdle(int32_t spared) const;
  int64_t idleCount() const;
  void clear(int32_t slot);
  void release(Job &job, size_t answer);
  void close(Job &job);
  void endAll(Job &job, vlm_end_t how, const vlm_status_t *failure);
  void fail(Job &job, vlm_status_t *status);

  // Steps.
  vlm_status_t *lookAtPictures(Job &job);
  void startReady();
  std::vector<Work> plan();
  void run(std::span<const Work> work);
  vlm_status_t *tryRun(std::span<const Work> work, std::vector<Slice> &slices);
  vlm_status_t *finish(const Work &work, const Slice &slice);
  vlm_status_t *tellPrompt(Job &job, const Slice &slice);
  vlm_status_t *copySlot(int32_t from, int32_t to);
  // Searches.
  vlm_status_t *startSearch(Job &job, int64_t most,
                            std::span<const float> logits);
  vlm_status_t *takeBeam(Job &job, size_t beam, std::span<const float> logits);
  vlm_status_t *carryOn(Job &job);
  vlm_status_t *tellFound(Job &job);
  void leaveSearch(Job &job);
  vlm_status_t *startAnswers(Job &job, std::span<const float> logits);
  bool isComputed(const Job &job) const {
    const Slot &slot = slots[size_t(job.slots[0])];
    return slot.computed == int64_t(slot.ids.size());
  }

  EngineOptions options;
  Decoder decoder;
  PromptEncoder encoder;
  std::unique_ptr<vlm_cache_t, decltype(&vlm_cache_destroy)> cache{
      nullptr, vlm_cache_destroy};
  // Of the thread that steps.
  std::mutex stepping;
  std::deque<Slot> slots;
  std::vector<std::unique_ptr<Job>> active;
  uint64_t clock = 0;
  size_t reserved = 0; ///< pages that active jobs may need
  // Of all threads.
  std::mutex mutex;
  std::condition_variable hasWork;
  std::deque<std::unique_ptr<Job>> waiting;
  std::unordered_set<uint64_t> cancelled;
  uint64_t lastNumber = 0;
  int64_t unfinished = 0;
  std::atomic<size_t> pagesNow{0};
  struct {
    std::atomic<int64_t> promptTokens{0}, reusedTokens{0}, newTokens{0},
        pictures{0}, reusedPictures{0}, steps{0};
  } counts;
};

/// A caller's struct, as far as it goes.
template <typename T> T copyOf(const T *given) {
  T copy{};
  if (given)
    std::memcpy(&copy, given, std::min(given->struct_bytes, sizeof(copy)));
  return copy;
}

/// Fills a caller's struct, as far as it goes.
template <typename T> void writeBack(T told, T &out) {
  size_t bytes = std::min(out.struct_bytes, sizeof(told));
  told.struct_bytes = out.struct_bytes;
  std::memcpy(&out, &told, bytes);
}

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_TASKS_ENGINE_H
