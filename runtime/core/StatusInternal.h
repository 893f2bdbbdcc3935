//===- StatusInternal.h - How the runtime's libraries make statuses -------===//
//
// What libvlm, libvlm_image, libvlm_text and libvlm_tasks share to report
// failures. Include it in a .cpp of the runtime that can fail; it is not
// installed, and programs use `vlm_status_*` of vlm.h alone.
//
//   if (width < 1)
//     return vlmc::rt::makeStatus(
//         VLM_INVALID_ARGUMENT,
//         "image width: expected at least 1, found " + std::to_string(width));
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_RUNTIME_CORE_STATUSINTERNAL_H
#define VLMC_RUNTIME_CORE_STATUSINTERNAL_H

#include "runtime/vlm.h"

#include <cstddef>
#include <new>
#include <string>
#include <string_view>

extern "C" {
/// Makes a status; `message` is `bytes` bytes, copied. Never NULL, even out of
/// memory (then a shared status says so). Exported for the runtime's own
/// libraries only.
VLM_API vlm_status_t *vlm_status_create(vlm_code_t code, const char *message,
                                        size_t bytes);
}

namespace vlmc::rt {

/// A status of kind `code`: what is wrong, where, expected, found, how to mend
/// it; lower case, no full stop.
inline vlm_status_t *makeStatus(vlm_code_t code, std::string_view message) {
  return vlm_status_create(code, message.data(), message.size());
}

/// The status for a std::bad_alloc caught at the border; `what` names the
/// work.
inline vlm_status_t *outOfMemory(const char *what) {
  constexpr std::string_view tail = ": not enough memory";
  try {
    std::string message(what);
    return makeStatus(VLM_OUT_OF_MEMORY, message.append(tail));
  } catch (const std::bad_alloc &) {
    return makeStatus(VLM_OUT_OF_MEMORY, tail.substr(2));
  }
}

/// Runs the body of a C API function, so that no exception leaves it:
/// `return guarded("decoding a picture", [&]() -> vlm_status_t * { ... });`
template <typename Body>
vlm_status_t *guarded(const char *what, const Body &body) {
  try {
    return body();
  } catch (const std::bad_alloc &) {
    return outOfMemory(what);
  } catch (...) {
    return makeStatus(VLM_INTERNAL, what);
  }
}

} // namespace vlmc::rt

#endif // VLMC_RUNTIME_CORE_STATUSINTERNAL_H
