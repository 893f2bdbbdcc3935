//===-- Error.h - errors of the packager
//-------------------------------------------------------===//
//
// Two kinds: what the user's input or machine is at fault for, and defects of
// vlmc. `isUserError` tells them apart (exit codes 1 and 3).
//
//   return userError("cannot write '" + path + "': " + reason);
//
//===----------------------------------------------------------------------------------------------===//
#ifndef VLMC_CODEGEN_PACKAGE_ERROR_H
#define VLMC_CODEGEN_PACKAGE_ERROR_H

#include "llvm/ADT/Twine.h"
#include "llvm/Support/Error.h"

namespace vlmc {

/// An error that the user's input, options or machine is at fault for.
inline llvm::Error userError(const llvm::Twine &message) {
  return llvm::createStringError(
      std::make_error_code(std::errc::invalid_argument), message);
}

/// An error that only a defect of vlmc can cause.
inline llvm::Error internalError(const llvm::Twine &message) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), message);
}

/// Splits an error into its message and its kind; handles it.
inline std::string takeMessage(llvm::Error error, bool *isUser = nullptr) {
  if (isUser)
    *isUser = true;
  return llvm::toString(llvm::handleErrors(
      std::move(error), [&](std::unique_ptr<llvm::StringError> string) {
        if (isUser)
          *isUser =
              string->convertToErrorCode() != llvm::inconvertibleErrorCode();
        return llvm::Error(std::move(string));
      }));
}

} // namespace vlmc

#endif // VLMC_CODEGEN_PACKAGE_ERROR_H
