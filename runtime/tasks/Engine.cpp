//===- Engine.cpp - Requests that share the model's runs ------------------===//
//
// The steps. Sequences and who gets them are in Admission.cpp, answers that are
// searched for in Search.cpp, what a request will take in Prediction.cpp.
//
//===----------------------------------------------------------------------===//
#include "runtime/tasks/Engine.h"

#include "runtime/core/StatusInternal.h"
#include "runtime/tasks/PictureStore.h"

#include <algorithm>

namespace vlmc::rt {

//===----------------------------------------------------------------------===//
// Opening
//===----------------------------------------------------------------------===//

vlm_status_t *Engine::open(const vlm_model_t *model,
                           const EngineOptions &given) {
  options = given;
  if (vlm_status_t *status = reader.open(model))
    return status;
  int64_t most = vlm_model_abi(model)->text_max_tokens;
  if (options.maxTokens < 0 || (most && options.maxTokens > most))
    return invalid("max_tokens: expected 0 to " + std::to_string(most) +
                   ", as many as the model takes, found " +
                   std::to_string(options.maxTokens));
  maxTokens = options.maxTokens ? options.maxTokens : most;
  if (vlm_status_t *status =
          decoder.open(reader, options.maxSequences, maxTokens))
    return status;
  if (vlm_status_t *status = encoder.open(model))
    return status;
  constexpr int64_t usual = 512;
  options.stepTokens = std::clamp<int64_t>(
      options.stepTokens ? options.stepTokens : usual, 1, decoder.mostTokens);
  vlm_cache_t *made = nullptr;
  if (vlm_status_t *status =
          vlm_cache_create(model, options.maxSequences, maxTokens, &made))
    return status;
  cache.reset(made);
  slots.resize(size_t(options.keepsOne ? 1 : options.maxSequences));
  return nullptr;
}

vlm_status_t *Engine::check(const vlm_request_t &request, const Prompt &prompt,
                            const GenerateOptions &wanted) const {
  if (!prompt.tokens())
    return invalid("prompt: expected at least one token, found none");
  if (prompt.tokens() >= maxTokens)
    return invalid("prompt: has " + std::to_string(prompt.tokens()) +
                   " tokens, expected fewer than " + std::to_string(maxTokens) +
                   ", the most that the session holds, so that an answer has "
                   "room; shorten it");
  if (int64_t count = wanted.sequences(*reader.facts);
      count > options.maxSequences)
    return invalid(std::string(count > wanted.answers() ? "beams" : "answers") +
                   ": expected at most " +
                   std::to_string(options.maxSequences) +
                   ", the sequences of the batch (max_sequences), found " +
                   std::to_string(count));
  if (vlm_status_t *status = PromptReader::checkBudget(request, prompt))
    return status;
  if (!request.max_bytes && !options.maxBytes)
    return nullptr;
  vlm_prediction_t needs{};
  if (vlm_status_t *status = predictFor(prompt, wanted, needs))
    return status;
  std::string parts = " (keys and values " + std::to_string(needs.cache_bytes) +
                      ", pictures " + std::to_string(needs.picture_bytes) +
                      ", runs " + std::to_string(needs.work_bytes) + ")";
  if (request.max_bytes && needs.bytes > request.max_bytes)
    return invalid("request: needs " + std::to_string(needs.bytes) +
                   " bytes of memory" + parts + ", expected at most " +
                   std::to_string(request.max_bytes) +
                   " (max_bytes); shorten prompt or answers, or give fewer or "
                   "smaller pictures");
  if (options.maxBytes && needs.cache_bytes > options.maxBytes)
    return invalid("request: needs " + std::to_string(needs.cache_bytes) +
                   " bytes for keys and values, expected at most " +
                   std::to_string(options.maxBytes) +
                   ", the max_bytes of the batch; shorten prompt or answers");
  return nullptr;
}

vlm_status_t *Engine::read(const vlm_request_t &request, Prompt &prompt) const {
  if (!request.text && request.bytes)
    return invalid("text: expected an address, found NULL");
  if (!request.images && request.image_count)
    return invalid("images: expected an address, found NULL");
  vlm_generate_options_t given = copyOf(request.options);
  if (vlm_status_t *status = checkOptions(given))
    return status;
  return reader.read({request.text, request.bytes},
                     std::span(request.images, request.image_count),
                     request.special != 0, prompt);
}

vlm_status_t *Engine::makeJob(const vlm_request_t &request,
                              std::unique_ptr<Job> &out) const {
  auto job = std::make_unique<Job>();
  if (vlm_status_t *status = read(request, job->prompt))
    return status;
  job->options = GenerateOptions(request.options);
  job->listener = {request.callback, request.user};
  std::span images(request.images, request.image_count);
  if (vlm_status_t *status = check(request, job->prompt, job->options))
    return status;
  if (vlm_status_t *status = reader.preprocess(images, job->prompt))
    return status;
  job->pages = pagesOf(job->prompt.size(), job->options);
  out = std::move(job);
  return nullptr;
}

vlm_status_t *Engine::continueJob(int32_t number, const GenerateOptions &wanted,
                                  std::unique_ptr<Job> &out) const {
  auto job = std::make_unique<Job>();
  job->options = wanted;
  const Slot &slot = slots[size_t(number)];
  job->isContinued = true;
  job->prompt.ids = slot.ids;
  job->prompt.encoded = slot.encoded;
  job->prompt.pictures = slot.pictures;
  job->prompt.mutual = slot.mutual;
  job->pages = pagesOf(job->prompt.size(), wanted);
  out = std::move(job);
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Steps
//===----------------------------------------------------------------------===//

int64_t Engine::step() {
  std::lock_guard<std::mutex> lock(stepping);
  takeCancelled();
  admitWaiting();
  startReady();
  std::vector<Work> work = plan();
  if (!work.empty())
    run(work);
  std::erase_if(active, [](const auto &job) { return job->isOver; });
  pagesNow = vlm_cache_pages(cache.get());
  std::lock_guard<std::mutex> guard(mutex);
  return unfinished;
}

/// Gives the pictures of a prompt that are still to be computed their features,
/// and lets an encoder read all of it.
vlm_status_t *Engine::lookAtPictures(Job &job) {
  Slot &slot = slots[size_t(job.slots[0])];
  if (encoder.isThere() && slot.computed > 0) {
    for (Picture &picture : slot.pictures)
      giveUp(picture.pixels);
    return nullptr;
  }
  for (Picture &picture : slot.pictures) {
    if (picture.end <= slot.computed) {
      giveUp(picture.pixels);
      continue;
    }
    ++counts.pictures;
    if (!picture.features)
      picture.features = PictureStore::of(reader.model).find(picture.key);
    if (picture.features) {
      ++counts.reusedPictures;
      giveUp(picture.pixels);
      continue;
    }
    if (vlm_status_t *status =
            encodePicture(reader.model, decoder.featureWidth, picture))
      return status;
  }
  return encoder.isThere() ? encoder.run(*reader.facts, slot.encoded,
                                         slot.pictures, slot.encoderRows)
                           : nullptr;
}

/// Prompts that were computed before begin to be answered without a run.
void Engine::startReady() {
  for (auto &job : active)
    if (!job->isOver && job->answers.empty() && !job->search &&
        isComputed(*job))
      if (vlm_status_t *status = guarded("generating text", [&] {
            return startAnswers(*job, slots[size_t(job->slots[0])].logits);
          }))
        fail(*job, status);
}

/// What the next run computes: the last token of each answer, then prompts in
/// the order in which they came.
std::vector<Engine::Work> Engine::plan() {
  std::vector<Work> work;
  int64_t left = options.stepTokens;
  for (auto &job : active)
    for (size_t i = 0; job->search && !job->isOver && i < job->slots.size() &&
                       left > 0;
         ++i)
      if (job->beamLogits[i].empty()) {
        work.push_back({job.get(), job->slots[i], int64_t(i), 1});
        --left;
      }
  for (auto &job : active)
    for (size_t i = 0; !job->isOver && i < job->answers.size() && left > 0; ++i)
      if (int32_t slot = job->slots[i]; slot >= 0) {
        work.push_back({job.get(), slot, int64_t(i), 1});
        --left;
      }
  for (auto &job : active) {
    if (job->isOver || !job->answers.empty() || job->search || left <= 0)
      continue;
    const Slot &slot = slots[size_t(job->slots[0])];
    int64_t count = std::min(left, int64_t(slot.ids.size()) - slot.computed);
    if (job->options.values.prompt_logprobs)
      count = std::min(count, mostPromptRows());
    // Tokens that see each other are computed in one run, however many.
    count = std::max(count, slot.mutual - slot.computed);
    work.push_back({job.get(), job->slots[0], -1, count});
    left -= count;
  }
  return work;
}

vlm_status_t *Engine::tryRun(std::span<const Work> work,
                             std::vector<Slice> &slices) {
  for (const Work &each : work) {
    Slot &slot = slots[size_t(each.slot)];
    if (vlm_status_t *status = vlm_cache_resize(cache.get(), each.slot,
                                                slot.computed + each.count))
      return status;
    Slice slice;
    slice.sequence = each.slot;
    slice.first = slot.computed;
    slice.ids =
        std::span(slot.ids).subspan(size_t(slot.computed), size_t(each.count));
    slice.pictures = slot.pictures;
    slice.mutual = slot.mutual;
    slice.encoded = int64_t(slot.encoded.size());
    slice.encoderRows = &slot.encoderRows;
    slice.length = int64_t(slot.ids.size());
    if (each.answer < 0) {
      slice.wantsAll = each.job->options.values.prompt_logprobs != 0;
    }
    slices.push_back(slice);
  }
  ++counts.steps;
  return decoder.run(cache.get(), slices);
}

/// Runs what was planned. What fails together is tried one by one, so that a
/// request that cannot run takes no other with it.
void Engine::run(std::span<const Work> work) {
  std::vector<Slice> slices;
  vlm_status_t *status = guarded("generating text", [&]() -> vlm_status_t * {
    return tryRun(work, slices);
  });
  if (status && work.size() > 1) {
    vlm_status_destroy(status);
    for (size_t i = 0; i < work.size(); ++i)
      if (!work[i].job->isOver)
        run(work.subspan(i, 1));
    return;
  }
  if (status) {
    fail(*work[0].job, status);
    return;
  }
  for (size_t i = 0; i < work.size(); ++i) {
    if (work[i].job->isOver)
      continue;
    if (vlm_status_t *failure = guarded(
            "generating text", [&] { return finish(work[i], slices[i]); }))
      fail(*work[i].job, failure);
  }
}

/// Takes the results of a job's part of a run.
vlm_status_t *Engine::finish(const Work &work, const Slice &slice) {
  Job &job = *work.job;
  Slot &slot = slots[size_t(work.slot)];
  slot.computed += work.count;
  if (job.search)
    return takeBeam(job, size_t(work.answer), decoder.logits(slice.row));
  if (work.answer >= 0) {
    Answer &answer = *job.answers[size_t(work.answer)];
    if (vlm_status_t *status = answer.take(decoder.logits(slice.row), slot.ids))
      return status;
    ++counts.newTokens;
    if (answer.isOver())
      release(job, size_t(work.answer));
    return nullptr;
  }
  if (slice.wantsAll)
    if (vlm_status_t *status = tellPrompt(job, slice))
      return status;
  if (job.isOver || !isComputed(job))
    return nullptr;
  for (Picture &picture : slot.pictures) {
    picture.features.reset();
    picture.rows = {};
  }
  giveUp(slot.encoderRows);
  size_t last = slice.row + (slice.wantsAll ? slice.ids.size() - 1 : 0);
  return startAnswers(job, decoder.logits(last));
}

/// Tells how likely the tokens were that stand behind the slice's.
vlm_status_t *Engine::tellPrompt(Job &job, const Slice &slice) {
  const std::vector<int64_t> &ids = slots[size_t(job.slots[0])].ids;
  vlm_token_t first{int32_t(ids[0]), 0, nullptr, 0};
  vlm_piece_t piece{};
  piece.answer = -1;
  piece.text = "";
  piece.token = &first;
  bool goesOn = slice.first > 0 || job.listener.tell(piece);
  for (size_t i = 0; goesOn && i < slice.ids.size(); ++i) {
    size_t next = size_t(slice.first) + i + 1;
    if (next >= ids.size())
      break;
    TokenScore score(decoder.logits(slice.row + i), ids[next],
                     job.options.values.top_logprobs);
    piece.token = &score.token;
    goesOn = job.listener.tell(piece);
  }
  if (!goesOn)
    endAll(job, VLM_END_CANCELLED, nullptr);
  return nullptr;
}

/// Makes sequence `to` what sequence `from` is, as far as it is computed.
vlm_status_t *Engine::copySlot(int32_t from, int32_t to) {
  const Slot &base = slots[size_t(from)];
  Slot &slot = slots[size_t(to)];
  if (vlm_status_t *status =
          vlm_cache_fork(cache.get(), from, to, base.computed))
    return status;
  if (vlm_status_t *status =
          decoder.forkPictures(from, to, base.pictures, base.computed,
                               int64_t(base.encoded.size())))
    return status;
  slot.ids = base.ids;
  slot.encoded = base.encoded;
  slot.pictures = base.pictures;
  slot.computed = base.computed;
  slot.mutual = base.mutual;
  slot.promptLength = base.promptLength;
  return nullptr;
}

/// The prompt is computed: each answer gets its own sequence, which shares the
/// prompt's.
vlm_status_t *Engine::startAnswers(Job &job, std::span<const float> logits) {
  Slot &base = slots[size_t(job.slots[0])];
  if (job.isPromptOnly) {
    if (base.logits.empty())
      base.logits.assign(logits.begin(), logits.end());
    close(job);
    return nullptr;
  }
  // The kept ones are behind the prompt, not the answer.
  std::vector<float> kept = std::move(base.logits);
  giveUp(base.logits);
  if (!kept.empty())
    logits = kept;
  auto held = int64_t(base.ids.size());
  int64_t most =
      std::min(job.options.most(*reader.facts, held), maxTokens - held);
  if (job.options.beams(*reader.facts).beams > 1 && most > 0)
    return startSearch(job, most, logits);
  // A search that has no room for a token leaves its other beams' sequences.
  auto count = size_t(job.options.answers());
  for (size_t i = count; i < job.slots.size(); ++i)
    release(job, i);
  for (size_t i = 1; i < count; ++i)
    if (vlm_status_t *status = copySlot(job.slots[0], job.slots[i]))
      return status;
  for (size_t i = 0; i < count; ++i)
    job.answers.push_back(std::make_unique<Answer>(
        reader, job.options, int64_t(i), slots[size_t(job.slots[i])].ids,
        maxTokens, job.listener));
  for (size_t i = 0; i < job.answers.size(); ++i) {
    Answer &answer = *job.answers[i];
    if (!answer.isOver()) {
      if (vlm_status_t *status =
              answer.take(logits, slots[size_t(job.slots[i])].ids))
        return status;
      ++counts.newTokens;
    }
    if (answer.isOver())
      release(job, i);
  }
  return nullptr;
}

void Engine::stats(vlm_stats_t &out) const {
  out.prompt_tokens = counts.promptTokens;
  out.reused_tokens = counts.reusedTokens;
  out.new_tokens = counts.newTokens;
  out.pictures = counts.pictures;
  out.reused_pictures = counts.reusedPictures;
  out.steps = counts.steps;
}

} // namespace vlmc::rt
