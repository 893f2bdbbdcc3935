//===-- Streams.h - work that is done when somebody waits for it ----------===//
//
// A stream is a queue. Its work is done as late as may be: when the host waits
// for the stream or an event behind the work. So a host that reads too early,
// or gives memory back too soon, sees it. Work on the null stream is done at
// once, after that of all streams that are not told to ignore it.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_TEST_EMULATOR_DRIVER_STREAMS_H
#define VLMC_TEST_EMULATOR_DRIVER_STREAMS_H

#include "test/emulator/driver/State.h"
#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <thread>

namespace vlmc::emulator::driver {

using Work = std::function<Result()>;

struct Stream;

struct Graph {
  std::vector<Work> nodes;
  std::set<Stream *> branches; ///< that have to be joined before the end
  std::thread::id thread;
  int mode = 0;
  bool isInvalid = false;
};

struct Stream {
  bool ignoresNull = false;
  std::deque<Work> queue;
  uint64_t added = 0, done = 0;
  /// The graph that its work goes to.
  std::shared_ptr<Graph> capture;
  bool isOrigin = false;
};

struct Event {
  Stream *stream = nullptr;
  uint64_t position = 0;
  bool isRecorded = false;
  std::shared_ptr<Graph> capture;
  double seconds = 0; ///< when its position was reached
};

struct GraphExec {
  std::vector<Work> nodes;
};

class Streams {
public:
  static Streams &get();

  Stream *add(bool ignoresNull);
  bool remove(Stream *stream);
  /// Null where it is no stream; nullptr gives the null stream.
  Stream *find(void *handle);
  /// Queues work, or adds it to the graph that is being captured.
  Result submit(void *handle, Work work);
  /// Does the work of a stream up to a position.
  Result finish(Stream &stream, uint64_t position);
  Result finish(Stream &stream) { return finish(stream, stream.added); }
  Result finishAll();
  /// All streams of a capture go on by themselves.
  void endCapture(const std::shared_ptr<Graph> &graph);
  /// Whether a call that a capture forbids comes while one is under way; ends
  /// that capture.
  bool isForbidden();

private:
  Stream null;
  std::set<Stream *> all;
};

} // namespace vlmc::emulator::driver

#endif // VLMC_TEST_EMULATOR_DRIVER_STREAMS_H
