//===-- StreamEntries.cpp - streams, events, graphs -----------------------===//
#include "test/emulator/driver/Streams.h"
#include <chrono>

using namespace vlmc::emulator::driver;

static double now() {
  auto time = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(time).count();
}

//===-- Streams -----------------------------------------------------------===//

VLMC_ENTRY cuStreamCreate(void **out, unsigned flags) {
  return call("cuStreamCreate", Needs::Context, [&] {
    *out = Streams::get().add(flags & 1U);
    return Success;
  });
}

VLMC_ENTRY cuStreamCreateWithPriority(void **out, unsigned flags,
                                      int /*priority*/) {
  return cuStreamCreate(out, flags);
}

VLMC_ENTRY cuStreamDestroy_v2(void *handle) {
  return call("cuStreamDestroy", Needs::Context, [&] {
    Stream *stream = Streams::get().find(handle);
    if (!stream || !handle)
      return InvalidHandle;
    Streams::get().finish(*stream);
    return Streams::get().remove(stream) ? Success : InvalidHandle;
  });
}

/// Runs `body` with a stream that is not being captured.
template <typename Body>
static Result withStream(const char *name, void *handle, Body body) {
  return call(name, Needs::Context, [&] {
    Stream *stream = Streams::get().find(handle);
    if (!stream)
      return InvalidHandle;
    if (stream->capture) {
      stream->capture->isInvalid = true;
      return CaptureUnsupported;
    }
    return body(*stream);
  });
}

VLMC_ENTRY cuStreamSynchronize(void *handle) {
  return withStream("cuStreamSynchronize", handle, [](Stream &stream) {
    return Streams::get().finish(stream);
  });
}

/// Not ready the first time, so that callers have to ask again.
VLMC_ENTRY cuStreamQuery(void *handle) {
  return withStream("cuStreamQuery", handle, [](Stream &stream) {
    if (stream.done == stream.added)
      return Success;
    Result result = Streams::get().finish(stream);
    return result == Success ? NotReady : result;
  });
}

//===-- Events ------------------------------------------------------------===//

static std::set<void *> &events() {
  static auto &all = *new std::set<void *>();
  return all;
}

static Event *findEvent(void *handle) {
  return events().count(handle) ? static_cast<Event *>(handle) : nullptr;
}

VLMC_ENTRY cuEventCreate(void **out, unsigned /*flags*/) {
  return call("cuEventCreate", Needs::Context, [&] {
    *out = new Event();
    events().insert(*out);
    return Success;
  });
}

VLMC_ENTRY cuEventDestroy_v2(void *handle) {
  return call("cuEventDestroy", Needs::Context, [&] {
    if (!events().erase(handle))
      return InvalidHandle;
    delete static_cast<Event *>(handle);
    return Success;
  });
}

VLMC_ENTRY cuEventRecord(void *handle, void *streamHandle) {
  return call("cuEventRecord", Needs::Context, [&] {
    Event *event = findEvent(handle);
    Stream *stream = Streams::get().find(streamHandle);
    if (!event || !stream)
      return InvalidHandle;
    event->stream = stream;
    event->isRecorded = true;
    event->capture = stream->capture;
    if (stream->capture)
      return Success;
    Result result = Streams::get().submit(streamHandle, [handle] {
      if (Event *reached = findEvent(handle))
        reached->seconds = now();
      return Success;
    });
    event->position = stream->added;
    return result;
  });
}

static Result reach(const Event &event) {
  if (!event.isRecorded)
    return Success;
  Stream *stream = Streams::get().find(event.stream);
  return stream ? Streams::get().finish(*stream, event.position) : Success;
}

VLMC_ENTRY cuEventSynchronize(void *handle) {
  return call("cuEventSynchronize", Needs::Context, [&] {
    Event *event = findEvent(handle);
    if (!event)
      return InvalidHandle;
    return event->capture ? CaptureUnsupported : reach(*event);
  });
}

VLMC_ENTRY cuEventQuery(void *handle) {
  return call("cuEventQuery", Needs::Context, [&] {
    Event *event = findEvent(handle);
    if (!event)
      return InvalidHandle;
    if (!event->isRecorded || event->stream->done >= event->position)
      return Success;
    Result result = reach(*event);
    return result == Success ? NotReady : result;
  });
}

VLMC_ENTRY cuEventElapsedTime_v2(float *milliseconds, void *first,
                                 void *second) {
  return call("cuEventElapsedTime", Needs::Context, [&] {
    Event *begin = findEvent(first), *end = findEvent(second);
    if (!begin || !end || !begin->isRecorded || !end->isRecorded)
      return InvalidHandle;
    if (begin->seconds == 0 || end->seconds == 0)
      return NotReady;
    *milliseconds = static_cast<float>((end->seconds - begin->seconds) * 1e3);
    return Success;
  });
}

/// A stream that waits for an event of a capture joins it; the capture's own
/// stream that waits for a branch joins that.
static Result waitInCapture(Stream &stream, const Event &event) {
  if (!stream.capture && event.capture) {
    stream.capture = event.capture;
    event.capture->branches.insert(&stream);
    return Success;
  }
  if (stream.capture == event.capture) {
    stream.capture->branches.erase(event.stream);
    return Success;
  }
  stream.capture->isInvalid = true;
  return CaptureUnsupported;
}

VLMC_ENTRY cuStreamWaitEvent(void *handle, void *eventHandle,
                             unsigned /*flags*/) {
  return call("cuStreamWaitEvent", Needs::Context, [&] {
    Stream *stream = Streams::get().find(handle);
    Event *event = findEvent(eventHandle);
    if (!stream || !event)
      return InvalidHandle;
    if (stream->capture || event->capture)
      return waitInCapture(*stream, *event);
    // What counts is where the event was when the wait was asked for.
    Event then = *event;
    return Streams::get().submit(handle, [then] { return reach(then); });
  });
}

//===-- Graphs ------------------------------------------------------------===//

VLMC_ENTRY cuStreamBeginCapture_v2(void *handle, int mode) {
  return call("cuStreamBeginCapture", Needs::Context, [&] {
    Stream *stream = Streams::get().find(handle);
    if (!stream || stream->capture)
      return InvalidValue;
    if (reinterpret_cast<uintptr_t>(handle) <= 2)
      return CaptureUnsupported;
    stream->capture = std::make_shared<Graph>();
    stream->capture->mode = mode;
    stream->capture->thread = std::this_thread::get_id();
    stream->isOrigin = true;
    return Success;
  });
}

VLMC_ENTRY cuStreamEndCapture(void *handle, void **out) {
  *out = nullptr;
  Result ended = call("cuStreamEndCapture", Needs::Context, [&] {
    Stream *stream = Streams::get().find(handle);
    if (!stream || !stream->capture)
      return InvalidValue;
    if (!stream->isOrigin)
      return CaptureUnmatched;
    std::shared_ptr<Graph> graph = stream->capture;
    if (graph->mode != 2 && graph->thread != std::this_thread::get_id())
      return CaptureWrongThread;
    Result result = graph->isInvalid           ? CaptureInvalidated
                    : !graph->branches.empty() ? CaptureUnjoined
                                               : Success;
    Streams::get().endCapture(graph);
    if (result == Success)
      *out = new Graph(*graph);
    return result;
  });
  // One that fails by wish is over, too.
  std::lock_guard<std::recursive_mutex> lock(State::get().mutex);
  Stream *stream = Streams::get().find(handle);
  if (ended != Success && ended != CaptureWrongThread && stream &&
      stream->capture && stream->isOrigin)
    Streams::get().endCapture(std::shared_ptr<Graph>(stream->capture));
  return ended;
}

VLMC_ENTRY cuStreamIsCapturing(void *handle, int *status) {
  return call("cuStreamIsCapturing", Needs::Context, [&] {
    Stream *stream = Streams::get().find(handle);
    if (!stream)
      return InvalidHandle;
    *status = !stream->capture ? 0 : stream->capture->isInvalid ? 2 : 1;
    return Success;
  });
}

VLMC_ENTRY cuGraphGetNodes(void *graph, void **nodes, size_t *count) {
  return call("cuGraphGetNodes", Needs::Context, [&] {
    *count = static_cast<Graph *>(graph)->nodes.size();
    return nodes ? NotSupported : Success;
  });
}

VLMC_ENTRY cuGraphInstantiateWithFlags(void **out, void *graph,
                                       uint64_t /*flags*/) {
  return call("cuGraphInstantiate", Needs::Context, [&] {
    *out = new GraphExec{static_cast<Graph *>(graph)->nodes};
    return Success;
  });
}

VLMC_ENTRY cuGraphUpload(void * /*graph*/, void * /*stream*/) {
  return Success;
}

VLMC_ENTRY cuGraphLaunch(void *handle, void *stream) {
  return call("cuGraphLaunch", Needs::Context, [&] {
    auto nodes = static_cast<GraphExec *>(handle)->nodes;
    return Streams::get().submit(stream, [nodes]() mutable {
      for (Work &node : nodes)
        if (Result result = node(); result != Success)
          return result;
      return Success;
    });
  });
}

VLMC_ENTRY cuGraphExecDestroy(void *handle) {
  delete static_cast<GraphExec *>(handle);
  return Success;
}

VLMC_ENTRY cuGraphDestroy(void *handle) {
  delete static_cast<Graph *>(handle);
  return Success;
}
