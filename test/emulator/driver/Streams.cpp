//===-- Streams.cpp - work that is done when somebody waits for it --------===//
#include "test/emulator/driver/Streams.h"

using namespace vlmc::emulator::driver;

Streams &Streams::get() {
  static Streams &streams = *new Streams();
  return streams;
}

Stream *Streams::add(bool ignoresNull) {
  auto *stream = new Stream();
  stream->ignoresNull = ignoresNull;
  all.insert(stream);
  return stream;
}

bool Streams::remove(Stream *stream) {
  if (!all.erase(stream))
    return false;
  delete stream;
  return true;
}

Stream *Streams::find(void *handle) {
  // 1 and 2 stand for the null stream, and for a thread's own one.
  if (reinterpret_cast<uintptr_t>(handle) <= 2)
    return &null;
  auto *stream = static_cast<Stream *>(handle);
  return all.count(stream) ? stream : nullptr;
}

Result Streams::submit(void *handle, Work work) {
  Stream *stream = find(handle);
  if (!stream)
    return InvalidHandle;
  if (stream->capture) {
    stream->capture->nodes.push_back(std::move(work));
    return Success;
  }
  if (stream == &null) {
    for (Stream *other : all) {
      if (other->ignoresNull)
        continue;
      if (other->capture) {
        other->capture->isInvalid = true;
        return CaptureImplicit;
      }
      if (Result result = finish(*other); result != Success)
        return result;
    }
    DeviceAccess access;
    return work();
  }
  stream->queue.push_back(std::move(work));
  ++stream->added;
  return Success;
}

Result Streams::finish(Stream &stream, uint64_t position) {
  State &state = State::get();
  if (stream.done >= position || stream.queue.empty())
    return state.lost;
  DeviceAccess access;
  while (stream.done < position && !stream.queue.empty()) {
    Work work = std::move(stream.queue.front());
    stream.queue.pop_front();
    ++stream.done;
    if (state.lost != Success)
      continue; // a lost device does nothing any more
    if (Result result = work(); result != Success)
      return result;
  }
  return state.lost;
}

Result Streams::finishAll() {
  for (Stream *stream : all)
    if (!stream->capture)
      if (Result result = finish(*stream); result != Success)
        return result;
  return Success;
}

void Streams::endCapture(const std::shared_ptr<Graph> &graph) {
  for (Stream *stream : all)
    if (stream->capture == graph) {
      stream->capture = nullptr;
      stream->isOrigin = false;
    }
}

bool Streams::isForbidden() {
  bool found = false;
  for (Stream *stream : all) {
    if (!stream->capture || stream->capture->mode == 2)
      continue;
    bool isOther = stream->capture->mode == 1 &&
                   stream->capture->thread != std::this_thread::get_id();
    if (isOther)
      continue;
    stream->capture->isInvalid = true;
    found = true;
  }
  return found;
}
