//===- Result.h - A value, or why there is none -----------------*- C++ -*-===//
//
// What functions of the frontend that read a user's files return. The message
// says what is wrong, where, what was expected and found, and how to mend it.
//
//   Result<Config> config = readConfig(path);
//   if (!config)
//     return config.takeFailure();
//   use(config->hiddenSize);
//
// Where there is no value, return `Result<std::monostate>` or
// `std::optional<std::string>`, whichever reads better.
//
//===----------------------------------------------------------------------===//
#ifndef VLMC_FRONTEND_SUPPORT_RESULT_H
#define VLMC_FRONTEND_SUPPORT_RESULT_H

#include <string>
#include <utility>
#include <variant>

namespace vlmc {

/// A failure on its way to become a Result of any type.
struct Failure {
  std::string message;
};

/// A `T`, or a message that tells why there is none.
template <class T> class [[nodiscard]] Result {
public:
  Result(T value) : state(std::in_place_index<0>, std::move(value)) {}
  Result(Failure failure) : state(std::in_place_index<1>, std::move(failure)) {}

  explicit operator bool() const { return state.index() == 0; }

  T &operator*() & { return *std::get_if<0>(&state); }
  const T &operator*() const & { return *std::get_if<0>(&state); }
  T &&operator*() && { return std::move(*std::get_if<0>(&state)); }
  T *operator->() { return std::get_if<0>(&state); }
  const T *operator->() const { return std::get_if<0>(&state); }

  /// The message; only where there is no value.
  const std::string &message() const { return std::get_if<1>(&state)->message; }
  /// The failure, to be returned as a Result of another type.
  Failure takeFailure() { return std::move(*std::get_if<1>(&state)); }

private:
  std::variant<T, Failure> state;
};

} // namespace vlmc

#endif // VLMC_FRONTEND_SUPPORT_RESULT_H
