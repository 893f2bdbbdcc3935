//===- Session.cpp - Conversations with a model ---------------------------===//
//
// A session is an engine with one sequence that stays: what has run through the
// model lies in its cache, and the logits behind a prompt wait for the next
// choice.
//
//===----------------------------------------------------------------------===//
#include "runtime/core/StatusInternal.h"
#include "runtime/tasks/Engine.h"

#include <cstring>

using namespace vlmc::rt;

struct vlm_session_t {
  /// Runs a request to its end.
  vlm_status_t *run(std::unique_ptr<Job> job) {
    vlm_status_t *failure = nullptr;
    job->failure = &failure;
    engine.add(std::move(job));
    while (engine.step() > 0) {
    }
    return failure;
  }

  Engine engine;
  bool isReady = false; ///< whether a prompt is held as a whole
};

static vlm_status_t *missing(const char *name) {
  return invalid(std::string(name) + ": expected an address, found NULL");
}

vlm_status_t *vlm_session_create(const vlm_model_t *model,
                                 const vlm_session_options_t *options,
                                 vlm_session_t **out_session) {
  if (!model || !out_session)
    return missing(model ? "out_session" : "model");
  return guarded("opening a session", [&]() -> vlm_status_t * {
    vlm_session_options_t used = copyOf(options);
    if (used.prefill_tokens < 0)
      return invalid("prefill_tokens: expected 0 or more, found " +
                     std::to_string(used.prefill_tokens));
    auto made = std::make_unique<vlm_session_t>();
    EngineOptions wanted;
    wanted.maxSequences = VLM_MAX_ANSWERS;
    wanted.maxTokens = used.max_tokens;
    wanted.stepTokens = used.prefill_tokens;
    wanted.keepsOne = true;
    if (vlm_status_t *status = made->engine.open(model, wanted))
      return status;
    *out_session = made.release();
    return nullptr;
  });
}

void vlm_session_destroy(vlm_session_t *session) { delete session; }

/// A request for nothing but its prompt.
static vlm_request_t promptOf(const char *text, size_t bytes,
                              const vlm_image_t *const *images, size_t count,
                              int special) {
  vlm_request_t request{};
  request.struct_bytes = sizeof(request);
  request.text = text;
  request.bytes = bytes;
  request.images = images;
  request.image_count = count;
  request.special = special;
  return request;
}

vlm_status_t *vlm_session_prompt(vlm_session_t *session, const char *text,
                                 size_t bytes, const vlm_image_t *const *images,
                                 size_t image_count, int special) {
  if (!session || (!text && bytes))
    return missing(session ? "text" : "session");
  return guarded("running a prompt", [&]() -> vlm_status_t * {
    std::unique_ptr<Job> job;
    if (vlm_status_t *status = session->engine.makeJob(
            promptOf(text, bytes, images, image_count, special), job))
      return status;
    job->isPromptOnly = true;
    session->isReady = false;
    if (vlm_status_t *status = session->run(std::move(job)))
      return status;
    session->isReady = true;
    return nullptr;
  });
}

vlm_status_t *vlm_session_count(vlm_session_t *session, const char *text,
                                size_t bytes, const vlm_image_t *const *images,
                                size_t image_count, int special,
                                int64_t *out_tokens) {
  if (!session || (!text && bytes) || !out_tokens)
    return missing(!session ? "session" : out_tokens ? "text" : "out_tokens");
  return guarded("counting tokens", [&]() -> vlm_status_t * {
    if (!images && image_count)
      return missing("images");
    Prompt prompt;
    if (vlm_status_t *status = session->engine.reader.read(
            {text, bytes}, std::span(images, image_count), special != 0,
            prompt))
      return status;
    *out_tokens = prompt.tokens();
    return nullptr;
  });
}

/// What vlm_session_generate tells of the pieces.
namespace {
struct TextListener {
  vlm_text_callback_t callback;
  void *user;
  vlm_end_t end = VLM_END_LENGTH;
  int64_t tokens = 0;
};
} // namespace

static int hearText(void *user, const vlm_piece_t *piece) {
  auto *listener = static_cast<TextListener *>(user);
  const bool isOfSearch = piece->answer < 0;
  if (isOfSearch && listener->callback)
    return listener->callback(listener->user, "", 0);
  if (isOfSearch)
    return 0;
  if (piece->token)
    ++listener->tokens;
  else
    listener->end = piece->end;
  if (!piece->bytes || !listener->callback)
    return 0;
  return listener->callback(listener->user, piece->text, piece->bytes);
}

vlm_status_t *vlm_session_generate(vlm_session_t *session,
                                   const vlm_generate_options_t *options,
                                   vlm_text_callback_t callback, void *user,
                                   vlm_end_t *out_end, int64_t *out_tokens) {
  if (!session)
    return missing("session");
  return guarded("generating text", [&]() -> vlm_status_t * {
    vlm_generate_options_t used = copyOf(options);
    if (vlm_status_t *status = checkOptions(used))
      return status;
    GenerateOptions wanted(options);
    if (wanted.answers() > 1 || wanted.wantsLogprobs())
      return invalid("options: expected one answer without logprobs, found "
                     "more; call vlm_session_answer for them");
    if (!session->isReady || session->engine.slot(0).ids.empty())
      return invalid("session: expected a prompt, found none; call "
                     "vlm_session_prompt first");
    TextListener listener{callback, user};
    std::unique_ptr<Job> job;
    if (vlm_status_t *status = session->engine.continueJob(0, wanted, job))
      return status;
    job->listener = {hearText, &listener};
    if (vlm_status_t *status = session->run(std::move(job)))
      return status;
    if (out_end)
      *out_end = listener.end;
    if (out_tokens)
      *out_tokens = listener.tokens;
    return nullptr;
  });
}

vlm_status_t *vlm_session_answer(vlm_session_t *session,
                                 const vlm_request_t *request) {
  if (!session || !request)
    return missing(session ? "request" : "session");
  return guarded("answering a request", [&]() -> vlm_status_t * {
    std::unique_ptr<Job> job;
    if (vlm_status_t *status = session->engine.makeJob(copyOf(request), job))
      return status;
    session->isReady = false;
    if (vlm_status_t *status = session->run(std::move(job)))
      return status;
    session->isReady = true;
    return nullptr;
  });
}

vlm_status_t *vlm_session_predict(vlm_session_t *session,
                                  const vlm_request_t *request,
                                  vlm_prediction_t *out_prediction) {
  if (!session || !request || !out_prediction)
    return missing(!session  ? "session"
                   : request ? "out_prediction"
                             : "request");
  return guarded("predicting what a request takes", [&]() -> vlm_status_t * {
    vlm_prediction_t told{};
    if (vlm_status_t *status = session->engine.predict(copyOf(request), told))
      return status;
    writeBack(told, *out_prediction);
    return nullptr;
  });
}

int64_t vlm_session_tokens(const vlm_session_t *session) {
  return int64_t(session->engine.slot(0).ids.size());
}

int64_t vlm_session_max_tokens(const vlm_session_t *session) {
  return session->engine.maxTokens;
}

size_t vlm_session_memory(const vlm_session_t *session) {
  return session->engine.cacheBytes();
}

void vlm_session_stats(const vlm_session_t *session, vlm_stats_t *out_stats) {
  vlm_stats_t told{};
  session->engine.stats(told);
  writeBack(told, *out_stats);
}
