//===- Status.cpp - vlm_status_t ------------------------------------------===//

#include "runtime/core/StatusInternal.h"

struct vlm_status_t {
  vlm_code_t code;
  std::string message;
};

/// Stands in when there is no memory for a status; never freed.
static vlm_status_t exhausted{VLM_OUT_OF_MEMORY, "not enough memory"};

vlm_status_t *vlm_status_create(vlm_code_t code, const char *message,
                                size_t bytes) {
  try {
    return new vlm_status_t{code, std::string(message, bytes)};
  } catch (...) {
    return &exhausted;
  }
}

vlm_code_t vlm_status_code(const vlm_status_t *status) {
  return status ? status->code : VLM_OK;
}

const char *vlm_status_message(const vlm_status_t *status) {
  return status ? status->message.c_str() : "";
}

void vlm_status_destroy(vlm_status_t *status) {
  if (status != &exhausted)
    delete status;
}

const char *vlm_version(void) { return VLMC_VERSION; }
