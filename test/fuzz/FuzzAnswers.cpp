//===- FuzzAnswers.cpp - Requests for text that come, go and are wrong ----===//
//
// The bytes are a program: it adds requests with any options to a batch of a
// language model written by hand, steps it and cancels some. Every request ends
// once, and what was not cancelled is what a session answers alone.
//
//===----------------------------------------------------------------------===//
#include "runtime/vlm.h"
#include "test/fuzz/Fuzz.h"
#include "test/runtime/tasks/FakeLanguageModel.h"

#include <cstdlib>
#include <cstring>
#include <list>
#include <map>
#include <string>
#include <vector>

namespace {

/// Numbers from the input, zeros behind its end.
class Bytes {
public:
  Bytes(const uint8_t *data, size_t size) : at(data), end(data + size) {}
  bool isOver() const { return at == end; }
  template <typename T> T take() {
    T value{};
    size_t count = std::min(sizeof value, size_t(end - at));
    std::memcpy(&value, at, count);
    at += count;
    return value;
  }
  uint8_t below(uint8_t limit) { return take<uint8_t>() % limit; }

private:
  const uint8_t *at, *end;
};

struct Told {
  std::string text;
  std::vector<int32_t> ids;
  std::vector<float> logprobs;
  int end = -1;
  bool operator==(const Told &) const = default;
};

struct Request {
  std::string text;
  std::vector<const vlm_image_t *> images;
  vlm_generate_options_t options{};
  vlm_request_t values{};
  std::map<int64_t, Told> told;
  uint64_t number = 0;
  bool isCancelled = false;
  int64_t stopAfter = -1;
};

int hear(void *user, const vlm_piece_t *piece) {
  auto *request = static_cast<Request *>(user);
  if (piece->answer < 0 && !piece->token) // a search goes on
    return 0;
  Told &told = request->told[piece->answer];
  if (told.end != -1)
    std::abort();
  told.text.append(piece->text, piece->bytes);
  if (!piece->token) {
    told.end = piece->end;
    if ((piece->end == VLM_END_FAILED) != (piece->failure != nullptr))
      std::abort();
    return 0;
  }
  told.ids.push_back(piece->token->id);
  told.logprobs.push_back(piece->token->logprob);
  return int64_t(told.ids.size()) == request->stopAfter ? 1 : 0;
}

/// The model, loaded once.
class Talk {
public:
  Talk() {
    std::string bytes = fake::noWeights();
    std::string path = folder.write(
        "talk.weights", reinterpret_cast<const uint8_t *>(bytes.data()),
        bytes.size());
    abi = fake::languageModel();
    vlm_load_options_t options{};
    options.struct_bytes = sizeof(options);
    if (vlm_pool_create(1, &options.pool))
      std::abort();
    options.picture_cache_bytes = 200;
    if (vlm_model_load_linked(&abi, path.c_str(), &options, &model))
      std::abort();
    for (uint8_t i = 0; i < 4; ++i)
      pictures.push_back(fake::makePicture(1 + 9 * i, i == 3 ? 13 : i));
  }
  vlm_model_t *model = nullptr;
  std::vector<fake::Picture> pictures;

private:
  vlmc::fuzz::ScratchFolder folder;
  vlm_abi_model abi{};
};

} // namespace

static void fill(Request &request, Bytes &bytes, const Talk &talk) {
  if (bytes.below(2))
    request.text.assign(size_t(40 + 64 * bytes.below(3)), 'p');
  for (uint8_t n = bytes.below(24); n > 0; --n)
    request.text += char(bytes.take<uint8_t>() & 127);
  for (uint8_t n = bytes.below(3); n > 0; --n) {
    request.text += '@';
    request.images.push_back(talk.pictures[bytes.below(4)].get());
  }
  vlm_generate_options_t &options = request.options;
  options.struct_bytes = sizeof(options);
  options.max_new_tokens = bytes.take<int8_t>();
  options.answers = bytes.below(6);
  if (bytes.below(4) == 0) { // any bits at all
    options.temperature = bytes.take<float>();
    options.top_k = bytes.take<int32_t>();
    options.top_p = bytes.take<float>();
    options.min_p = bytes.take<float>();
    options.repetition_penalty = bytes.take<float>();
    options.presence_penalty = bytes.take<float>();
    options.frequency_penalty = bytes.take<float>();
    options.top_logprobs = bytes.take<int32_t>();
  } else {
    options.temperature = float(bytes.below(4));
    options.top_k = bytes.below(40);
    options.logprobs = bytes.below(2);
    options.top_logprobs = bytes.below(4);
  }
  options.seed = bytes.take<uint8_t>();
  options.prompt_logprobs = bytes.below(6) == 0;
  request.stopAfter = options.prompt_logprobs ? -1 : bytes.below(30) - 1;
  static const char *const stops[] = {"a", "", "\xff"};
  options.stops = stops;
  options.stop_count = bytes.below(4);
  vlm_request_t &values = request.values;
  values.struct_bytes = sizeof(values);
  values.text = request.text.data();
  values.bytes = request.text.size();
  values.images = request.images.data();
  values.image_count = request.images.size();
  values.options = &options;
  values.callback = hear;
  values.user = &request;
  if (bytes.below(8) == 0) {
    values.max_tiles = bytes.take<int8_t>();
    values.max_pixels = bytes.take<int8_t>();
    values.max_bytes = bytes.take<uint16_t>();
  }
}

/// Whether it was taken; what is refused is told.
static bool isTaken(vlm_status_t *status) {
  if (!status)
    return true;
  if (!*vlm_status_message(status))
    std::abort();
  vlm_status_destroy(status);
  return false;
}

/// The same request alone.
static void compare(const Request &request, const Talk &talk) {
  vlm_session_t *session = nullptr;
  if (vlm_session_create(talk.model, nullptr, &session))
    std::abort();
  Request again;
  again.stopAfter = request.stopAfter;
  vlm_request_t values = request.values;
  values.user = &again;
  values.max_bytes = 0; // longer steps take more
  bool isDone = isTaken(vlm_session_answer(session, &values));
  vlm_session_destroy(session);
  for (const auto &[number, told] : request.told)
    if (isDone ? told != again.told[number]
               : number >= 0 && told.end != VLM_END_FAILED)
      std::abort();
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const Talk talk;
  Bytes bytes(data, size);
  vlm_batch_options_t options{};
  options.struct_bytes = sizeof(options);
  options.max_sequences = 1 + bytes.below(8);
  options.step_tokens = 1 + bytes.below(100);
  options.max_tokens = bytes.below(4) ? 0 : 1 + bytes.take<uint8_t>();
  options.max_bytes = bytes.below(3) ? 0 : size_t(5120) * bytes.below(30);
  vlm_batch_t *batch = nullptr;
  if (!isTaken(vlm_batch_create(talk.model, &options, &batch)))
    return 0;
  std::list<Request> requests;
  int64_t left = 0;
  while (!bytes.isOver() && requests.size() < 24) {
    switch (bytes.below(4)) {
    case 0:
    case 1: {
      Request &request = requests.emplace_back();
      fill(request, bytes, talk);
      if (!isTaken(vlm_batch_add(batch, &request.values, &request.number)))
        requests.pop_back();
      break;
    }
    case 2:
      if (!isTaken(vlm_batch_step(batch, &left)))
        std::abort();
      break;
    case 3:
      if (!requests.empty()) {
        requests.back().isCancelled = true;
        vlm_batch_cancel(batch, requests.back().number);
      }
    }
  }
  // Each step brings at least one token on.
  for (int steps = 0; steps == 0 || left > 0; ++steps)
    if (!isTaken(vlm_batch_step(batch, &left)) || steps > 100000)
      std::abort();
  for (const Request &request : requests) {
    int64_t answers = std::max(request.options.answers, 1);
    for (int64_t i = 0; i < answers; ++i)
      if (auto told = request.told.find(i);
          told == request.told.end() || told->second.end == -1)
        std::abort();
    if (!request.isCancelled && !options.max_tokens)
      compare(request, talk);
  }
  vlm_batch_destroy(batch);
  return 0;
}
