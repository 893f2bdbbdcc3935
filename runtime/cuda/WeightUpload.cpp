//===- WeightUpload.cpp - Weights on their way to a GPU -------------------===//

#include "runtime/cuda/WeightUpload.h"

#include "runtime/core/StatusInternal.h"

#include <algorithm>
#include <cstring>

namespace vlmc::rt::cuda {

void WeightUpload::finish() {
  {
    std::lock_guard<std::mutex> lock(mutex);
    isCancelled = true;
  }
  if (thread.joinable())
    thread.join();
  ContextScope scope(device);
  const Functions &api = device.api();
  if (stream) {
    api.streamWait(stream);
    api.streamDestroy(stream);
    stream = nullptr;
  }
  giveBuffers();
  for (Event *event : events)
    if (event)
      api.eventDestroy(event);
  events.clear();
  vlm_status_destroy(failed);
  failed = nullptr;
}

vlm_status_t *WeightUpload::start(Pointer to, std::vector<WeightPiece> all,
                                  size_t bytes) {
  block = to;
  pieces = std::move(all);
  if (pieces.empty()) {
    over = true;
    return nullptr;
  }
  size_t total = pieces.back().offset + pieces.back().bytes;
  part = std::min(bytes, total);
  const Functions &api = device.api();
  ContextScope scope(device);
  if (vlm_status_t *status = device.check(api.streamCreate(&stream, besideNull),
                                          "making a stream for the weights"))
    return status;
  events.resize((total + part - 1) / part, nullptr);
  for (Event *&event : events)
    if (vlm_status_t *status =
            device.check(api.eventCreate(&event, eventWithoutTime),
                         "making an event for the weights"))
      return status;
  takeBuffers();
  thread = std::thread([this] { run(); });
  return nullptr;
}

/// Both or none.
void WeightUpload::takeBuffers() {
  for (void *&buffer : staging)
    if (device.api().allocateHost(&buffer, part) != success) {
      buffer = nullptr;
      giveBuffers();
      return;
    }
}

void WeightUpload::giveBuffers() {
  for (void *&buffer : staging) {
    if (buffer)
      device.api().freeHost(buffer);
    buffer = nullptr;
  }
}

//===----------------------------------------------------------------------===//
// The thread
//===----------------------------------------------------------------------===//

void WeightUpload::run() {
  ContextScope scope(device);
  vlm_status_t *status = uploadAll();
  if (!status)
    status = device.check(device.api().streamWait(stream), "uploading weights");
  std::lock_guard<std::mutex> lock(mutex);
  giveBuffers();
  failed = status;
  over = !status && known == events.size();
  changed.notify_all();
}

vlm_status_t *WeightUpload::uploadAll() {
  for (size_t number = 0; number < events.size(); ++number) {
    if (vlm_status_t *status = uploadPart(number))
      return status;
    std::lock_guard<std::mutex> lock(mutex);
    known = number + 1;
    changed.notify_all();
    if (isCancelled)
      return nullptr;
  }
  return nullptr;
}

/// The block's bytes from number * part on.
vlm_status_t *WeightUpload::uploadPart(size_t number) {
  const Functions &api = device.api();
  const size_t begin = number * part, end = begin + part;
  // What the device fetches from the buffer must be gone from it.
  if (staging[0] && number >= 2)
    if (vlm_status_t *status = device.check(api.eventWait(events[number - 2]),
                                            "uploading weights"))
      return status;
  size_t filled = begin;
  for (; next < pieces.size() && pieces[next].offset < end; ++next) {
    const WeightPiece &piece = pieces[next];
    if (vlm_status_t *status = copyPiece(number, piece, begin, end))
      return status;
    filled = std::min(end, piece.offset + piece.bytes);
    if (piece.offset + piece.bytes > end)
      break; // the rest is the next part's
  }
  if (staging[0] && filled > begin)
    if (vlm_status_t *status =
            device.check(api.uploadAsync(block + begin, staging[number % 2],
                                         filled - begin, stream),
                         "uploading weights"))
      return status;
  return device.check(api.eventRecord(events[number], stream),
                      "uploading weights");
}

/// What of the piece lies in [begin, end).
vlm_status_t *WeightUpload::copyPiece(size_t number, const WeightPiece &piece,
                                      size_t begin, size_t end) {
  size_t first = std::max(begin, piece.offset);
  size_t last = std::min(end, piece.offset + piece.bytes);
  const unsigned char *from = piece.from + (first - piece.offset);
  if (!staging[0])
    return device.check(
        device.api().uploadAsync(block + first, from, last - first, stream),
        "uploading weights");
  auto *to = static_cast<unsigned char *>(staging[number % 2]);
  std::memcpy(to + (first - begin), from, last - first);
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Those who wait
//===----------------------------------------------------------------------===//

vlm_status_t *WeightUpload::awaitOn(Stream *waiting, size_t end) {
  std::unique_lock<std::mutex> lock(mutex);
  if (over || end == 0)
    return nullptr;
  size_t needed = (end + part - 1) / part;
  if (needed <= awaited)
    return nullptr;
  changed.wait(lock, [&] { return known >= needed || failed; });
  if (failed)
    return makeStatus(vlm_status_code(failed), vlm_status_message(failed));
  awaited = needed;
  lock.unlock();
  return device.check(device.api().streamAwait(waiting, events[needed - 1], 0),
                      "waiting for weights");
}

bool WeightUpload::isOver() {
  std::lock_guard<std::mutex> lock(mutex);
  return over;
}

int WeightUpload::buffers() {
  std::lock_guard<std::mutex> lock(mutex);
  return staging[0] ? 2 : 0;
}

} // namespace vlmc::rt::cuda
