//===- Batch.cpp - Many requests at once ----------------------------------===//
//
// The interface of an engine whose sequences serve whichever request comes.
//
//===----------------------------------------------------------------------===//
#include "runtime/core/StatusInternal.h"
#include "runtime/tasks/Engine.h"

using namespace vlmc::rt;

struct vlm_batch_t {
  Engine engine;
};

static vlm_status_t *missing(const char *name) {
  return invalid(std::string(name) + ": expected an address, found NULL");
}

vlm_status_t *vlm_batch_create(const vlm_model_t *model,
                               const vlm_batch_options_t *options,
                               vlm_batch_t **out_batch) {
  if (!model || !out_batch)
    return missing(model ? "out_batch" : "model");
  return guarded("opening a batch", [&]() -> vlm_status_t * {
    vlm_batch_options_t used = copyOf(options);
    constexpr int64_t most = 4096, usual = 16;
    if (used.max_sequences < 0 || used.max_sequences > most)
      return invalid("max_sequences: expected 0 to " + std::to_string(most) +
                     ", found " + std::to_string(used.max_sequences));
    if (used.step_tokens < 0)
      return invalid("step_tokens: expected 0 or more, found " +
                     std::to_string(used.step_tokens));
    auto made = std::make_unique<vlm_batch_t>();
    EngineOptions wanted;
    wanted.maxSequences = used.max_sequences ? used.max_sequences : usual;
    wanted.maxTokens = used.max_tokens;
    wanted.stepTokens = used.step_tokens;
    wanted.maxBytes = used.max_bytes;
    if (vlm_status_t *status = made->engine.open(model, wanted))
      return status;
    *out_batch = made.release();
    return nullptr;
  });
}

void vlm_batch_destroy(vlm_batch_t *batch) { delete batch; }

vlm_status_t *vlm_batch_add(vlm_batch_t *batch, const vlm_request_t *request,
                            uint64_t *out_number) {
  if (!batch || !request)
    return missing(batch ? "request" : "batch");
  return guarded("adding a request", [&]() -> vlm_status_t * {
    std::unique_ptr<Job> job;
    if (vlm_status_t *status = batch->engine.makeJob(copyOf(request), job))
      return status;
    batch->engine.add(std::move(job), out_number);
    return nullptr;
  });
}

void vlm_batch_cancel(vlm_batch_t *batch, uint64_t number) {
  batch->engine.cancel(number);
}

vlm_status_t *vlm_batch_step(vlm_batch_t *batch, int64_t *out_left) {
  if (!batch)
    return missing("batch");
  return guarded("running a step", [&]() -> vlm_status_t * {
    int64_t left = batch->engine.step();
    if (out_left)
      *out_left = left;
    return nullptr;
  });
}

int64_t vlm_batch_wait(vlm_batch_t *batch, int64_t milliseconds) {
  return batch->engine.wait(milliseconds);
}

vlm_status_t *vlm_batch_predict(vlm_batch_t *batch,
                                const vlm_request_t *request,
                                vlm_prediction_t *out_prediction) {
  if (!batch || !request || !out_prediction)
    return missing(!batch ? "batch" : request ? "out_prediction" : "request");
  return guarded("predicting what a request takes", [&]() -> vlm_status_t * {
    vlm_prediction_t told{};
    if (vlm_status_t *status = batch->engine.predict(copyOf(request), told))
      return status;
    writeBack(told, *out_prediction);
    return nullptr;
  });
}

size_t vlm_batch_memory(vlm_batch_t *batch) {
  return batch->engine.cacheBytes();
}

void vlm_batch_stats(vlm_batch_t *batch, vlm_stats_t *out_stats) {
  vlm_stats_t told{};
  batch->engine.stats(told);
  writeBack(told, *out_stats);
}
